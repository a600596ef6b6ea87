-- Social care: clients, what they receive, how they were assessed. Numbers are written without blanks.

CREATE TABLE main.clients (
    client_id TEXT PRIMARY KEY,
    nhs_number TEXT,
    full_name TEXT,
    phone TEXT,
    team TEXT,
    note TEXT,
    address TEXT
);

INSERT INTO main.clients VALUES
    ('C01', '9010001016', 'Anne Smith', '01803 555101', 'North', 'likes tea', '1 Hill Street'),
    ('C02', '9020000020', 'Bert Smith', '01803 555102', 'north', NULL, '2 Hill Street'),
    ('C03', '9030000031', 'Cara Smith', '01803 555103', 'North', 'refused-note', '3 Hill Street'),
    ('C05', '9050000053', 'Siân O''Brien', '12', 'South', '', '5 Hill Street'),
    ('C06', '9060000064', 'Bob Müller', NULL, 'South', NULL, NULL),
    ('C08', '9080000086', 'Hal Eight', '01803 555108', 'South', NULL, '8 Hill Street'),
    ('C11', '9110000119', NULL, '', NULL, NULL, ''),
    ('C14', '9140000141', 'Zoe Fourteen', '01803 555114', 'North', NULL, '14 Hill Street'),
    ('C15', '9150000152', 'Zoe Fifteen', 'ext. 7é5', 'North ', NULL, '15 Hill Street'),
    ('C16', '9160000163', 'Sato', '555', 'East', NULL, '16 Hill Street'),
    ('C17', '9170000174', 'Una Seventeen', '01803 555117', 'East', NULL, '17 Hill Street'),
    ('C24', '9240000240', 'Ron Twenty-four', '01803 555124', 'East', NULL, '24 Hill Street'),
    ('C28', '9280000284', 'Dee Ceased', '01803 555128', 'South', NULL, '28 Hill Street'),
    ('C30', '9300000306', 'Tim Thirty', '01803 555130', 'South', NULL, '30 Hill Street'),
    -- Known to nobody else.
    ('C35', '9350000350', 'Only Social', '01803 555135', 'North', NULL, '35 Hill Street'),
    ('C90', '9010001017', 'Bad Digit', '01803 555190', 'North', NULL, '90 Hill Street'),
    ('C91', '936 000 0361', 'Blanks Here', '01803 555191', 'North', NULL, '91 Hill Street'),
    ('C92', NULL, 'No Number', '01803 555192', 'North', NULL, '92 Hill Street');

-- The agency vouches for every number of this table.
CREATE TABLE main.packages (
    package_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    kind TEXT,
    weekly_cost INTEGER,
    started_on DATE
);

INSERT INTO main.packages VALUES
    (1, '9010001016', 'home care', 250, '2026-01-01'),
    (2, '9010001016', 'meals', 40, '2026-02-01'),
    (3, '9020000020', 'home care', 300, '2025-06-15'),
    (4, '9030000031', 'home care', 999, '2025-06-15'),
    (5, '9050000053', 'meals', 0, '2026-03-01'),
    (6, '9060000064', 'Meals', NULL, '2026-03-01'),
    (7, '9080000086', 'home care', 888, NULL),
    (8, '9110000119', 'day centre', 120, '2024-02-29'),
    (9, '9140000141', 'home care', 260, '2026-01-05'),
    (10, '9150000152', 'home care', 270, '2026-01-05'),
    (11, '9160000163', 'meals', 45, '2026-01-06'),
    (12, '9170000174', NULL, -10, '2026-01-07'),
    (13, '9240000240', 'home care', 777, '2026-01-08'),
    (14, '9280000284', 'home care', 100, '2023-12-31'),
    (15, '9300000306', 'day centre', 2147483647, '2026-05-31'),
    (16, '9350000350', 'home care', 280, '2026-05-31'),
    (17, NULL, 'home care', 5000, '2026-05-31');

CREATE INDEX packages_by_number ON packages (nhs_number);

CREATE TABLE main.assessments (
    assessment_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    need TEXT,
    score INTEGER,
    assessed_on DATE
);

INSERT INTO main.assessments VALUES
    (1, '9010001016', 'mobility', 7, '2026-01-02'),
    (2, '9010001016', 'mobility', 9, '2026-03-02'),
    (3, '9010001016', 'memory', NULL, '2026-03-02'),
    (4, '9020000020', 'memory', 3, '2026-01-03'),
    (5, '9030000031', 'memory', 10, '2026-01-04'),
    (6, '9040000042', 'mobility', 5, '2026-01-05'),
    (7, '9050000053', 'mobility', 0, '2026-01-06'),
    (8, '9140000141', 'memory', 4, '2026-01-07'),
    (9, '9150000152', 'memory', 6, '2026-01-08'),
    (10, '9150000152', 'Memory', 8, '2026-02-08'),
    (11, '9160000163', '', 2, '2026-01-09'),
    (12, '9170000174', NULL, 1, NULL),
    (13, '9240000240', 'mobility', 10, '2026-01-11'),
    (14, '9300000306', 'mobility', -1, '2026-01-12'),
    (15, '9350000350', 'memory', 7, '2026-01-13'),
    (16, '9010001017', 'memory', 99, '2026-01-14'),
    (17, NULL, 'memory', 98, '2026-01-15');
