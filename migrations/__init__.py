"""Database migrations, installed beside `dockd`: `dock/` for the journal, `central/` for the centre."""
