"""ManageIt: menus, waste, feedback and alerts of hostel messes, on Flask and plain SQL."""
