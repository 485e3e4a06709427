"""The cron trigger: reading, searching and describing crontab expressions."""
