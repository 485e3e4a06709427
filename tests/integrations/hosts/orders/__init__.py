"""An application and its own tests in virtual time, as users of Duly write them."""
