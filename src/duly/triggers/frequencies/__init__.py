"""The frequency language: schedules that the users of an application write."""
