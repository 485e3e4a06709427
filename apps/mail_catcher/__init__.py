"""Shows the mails of a `FolderMailer` in a browser, where a demo has no mail server."""
