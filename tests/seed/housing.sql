-- Housing: tenants and tenancies, with numbers typed by hand in three forms, and a register of who agreed to a study.

CREATE TABLE main.tenants (
    tenant_id INTEGER PRIMARY KEY,
    nhs_no TEXT,
    name TEXT,
    phone TEXT,
    postcode TEXT
);

INSERT INTO main.tenants VALUES
    (1, '901 000 1016', 'A Smith', '07700 900101', 'TQ1 4AA'),
    -- Person 1 again, in another form.
    (2, '9010001016', 'A. Smith', NULL, 'TQ1 4AA'),
    (3, '902-000-0020', 'B Smith', '07700 900102', 'TQ1 3BB'),
    (4, '9030000031', 'C Smith', '07700 900103', 'TQ2 6PU'),
    (5, '904 000 0042', 'D Four', '07700 900104', 'TQ2 6PV'),
    (6, '905-000-0053', 'S O''Brien', '90', 'TQ2 6PW'),
    (7, '9060000064', 'R Müller', '07700 900106', 'TQ1 4AA'),
    (8, '914 000 0141', 'Z Fourteen', '07700 900114', NULL),
    (9, '9150000152', 'Z Fifteen', '07700 900115', 'EX4 6AA'),
    (10, '924-000-0240', 'R Twenty-four', '07700 900124', 'TQ2 6PY'),
    -- Known to nobody else.
    (11, '937-000-0372', 'Only Housing', '07700 900137', 'TQ9 9ZZ'),
    (12, '901 0001016', 'Half Blanks', '07700 900190', 'TQ9 9ZY'),
    (13, '901-000-1017', 'Bad Digit', '07700 900191', 'TQ9 9ZX'),
    (14, NULL, 'No Number', '07700 900192', 'TQ9 9ZW');

CREATE TABLE main.tenancies (
    tenancy_id INTEGER PRIMARY KEY,
    tenant_id INTEGER,
    nhs_no TEXT,
    landlord TEXT,
    arrears DECIMAL(12,2),
    started_on DATE
);

INSERT INTO main.tenancies VALUES
    (1, 1, '901 000 1016', 'Torbay Homes', 0.00, '2010-05-01'),
    (2, 2, '9010001016', 'Torbay Homes', 120.40, '2020-02-29'),
    (3, 3, '902-000-0020', 'Mr Landlord', 35.00, '2019-12-31'),
    (4, 4, '9030000031', 'Torbay Homes', 900.00, '2018-01-01'),
    (5, 5, '904 000 0042', 'Torbay Homes', 1.00, '2018-01-01'),
    (6, 6, '905-000-0053', 'Torbay Homes', NULL, '2021-07-07'),
    (7, 7, '9060000064', 'Mr Landlord', -15.25, NULL),
    (8, 8, '914 000 0141', 'Torbay Homes', 10.00, '2022-08-08'),
    (9, 9, '9150000152', NULL, 20.00, '2023-09-09'),
    (10, 10, '924-000-0240', 'Torbay Homes', 777.00, '2024-10-10'),
    (11, 11, '937-000-0372', 'Torbay Homes', 5.55, '2025-11-11'),
    (12, 14, NULL, 'Torbay Homes', 4000.00, '2025-11-11');

-- Whoever stands here permits the study, up to the last day.
CREATE TABLE main.study_members (
    nhs_no TEXT,
    last_day DATE
);

INSERT INTO main.study_members VALUES
    ('901-000-1016', NULL),
    ('9010001016', '2027-01-01'),
    ('902 000 0020', '2026-05-31'),
    ('9040000042', '2026-12-31'),
    ('906 000 0064', '2026-06-01'),
    ('915-000-0152', NULL),
    ('901 000 1017', NULL),
    (NULL, NULL);
