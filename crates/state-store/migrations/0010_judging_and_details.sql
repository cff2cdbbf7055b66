-- Meters that judge events when they are accepted, and what doors keep with their objects: JSON objects, or NULL for none.
ALTER TABLE meters ADD COLUMN judging TEXT;
ALTER TABLE meters ADD COLUMN details TEXT;
ALTER TABLE customers ADD COLUMN details TEXT;
ALTER TABLE subjects ADD COLUMN details TEXT;
