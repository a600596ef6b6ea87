-- Police: persons with numbers in hyphens, incidents with numbers in any form, and a register of dissent.

CREATE TABLE main.persons (
    person_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    name TEXT,
    born_on DATE,
    warning TEXT
);

INSERT INTO main.persons VALUES
    (1, '901-000-1016', 'SMITH Anne', '1940-01-31', NULL),
    (2, '902-000-0020', 'SMITH Bert', '1941-02-28', 'dog'),
    (3, '903-000-0031', 'SMITH Cara', '1942-03-01', NULL),
    (4, '905-000-0053', 'O''BRIEN Sian', '1944-02-29', ''),
    (5, '914-000-0141', 'FOURTEEN Zoe', '1953-01-13', 'dog'),
    (6, '924-000-0240', 'TWENTY-FOUR Ron', '1999-12-31', 'Dog'),
    (7, '928-000-0284', 'CEASED Dee', '1930-01-01', NULL),
    -- Known to nobody else.
    (8, '938-000-0383', 'ONLY Police', NULL, 'armed'),
    (9, '9020000020', 'COMPACT Here', '1980-01-01', 'armed'),
    (10, NULL, 'NUMBER No', '1981-01-01', 'armed');

CREATE TABLE main.incidents (
    incident_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    kind TEXT,
    role TEXT,
    severity INTEGER,
    happened_at TIMESTAMP
);

INSERT INTO main.incidents VALUES
    (1, '901-000-1016', 'burglary', 'victim', 3, '2026-01-01 00:00:00'),
    (2, '901 000 1016', 'fraud', 'victim', 2, '2026-02-01 12:30:00'),
    (3, '9020000020', 'fraud', 'suspect', 4, '2026-02-01 12:30:00'),
    (4, '903-000-0031', 'assault', 'victim', 5, '2026-03-01 23:59:59'),
    (5, '9050000053', 'assault', 'witness', NULL, '2026-03-02 00:00:01'),
    (6, '914 000 0141', 'burglary', 'witness', 3, NULL),
    (7, '924-000-0240', 'Fraud', NULL, 1, '2026-04-01 08:00:00'),
    (8, '938-000-0383', 'fraud', 'suspect', 4, '2026-04-02 08:00:00'),
    (9, NULL, 'fraud', 'suspect', 9, '2026-04-03 08:00:00');

-- Whoever stands here refuses. Nothing but numbers.
CREATE TABLE main.dissents (
    nhs_number TEXT
);

INSERT INTO main.dissents VALUES
    ('901-000-1016'),
    ('905-000-0053'),
    ('914-000-0141'),
    ('914-000-0141'),
    ('902 000 0020'),
    ('901-000-1017'),
    (''),
    (NULL);
