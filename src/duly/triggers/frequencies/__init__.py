"""The frequency language: schedules as the users of an application write them."""
