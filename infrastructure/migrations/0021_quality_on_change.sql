-- Rules that are measured whenever the rows of their dataset have changed, besides every hour.

ALTER TABLE lake.quality_rules ADD COLUMN on_change boolean NOT NULL DEFAULT false;
