-- Features can have a longer text for people.

ALTER TABLE features ADD COLUMN description TEXT;
