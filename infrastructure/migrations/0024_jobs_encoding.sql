-- Files come compressed in more than one way. What code of before writes says `compressed` alone, and that is gzip;
-- the column goes once no such code runs any more.

ALTER TABLE lake.jobs ADD COLUMN encoding text CHECK (encoding IN ('gzip', 'zstd'));
ALTER TABLE lake.jobs ALTER COLUMN compressed SET DEFAULT false;
