"""ExpireEye: watches the expiry dates of a user's products and notifies the user live."""
