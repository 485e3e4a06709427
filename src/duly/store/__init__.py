"""The database: one implementation on SQLAlchemy Core, dialect differences side by side."""
