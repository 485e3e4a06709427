"""What the tests share: database servers, child processes, a browser."""
