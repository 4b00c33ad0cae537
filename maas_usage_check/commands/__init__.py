"""What users meet: the Agent check, the daemon for Telegraf, the tables, the diagnosis."""
