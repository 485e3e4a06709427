"""ExpireEye: watches the expiry dates of a person's products and tells them live."""
