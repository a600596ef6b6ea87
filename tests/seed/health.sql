-- Health: patients, what happened to them, and the register of what they decided. Numbers are written with blanks.
-- Person n has a number that shows n twice: person 5 is 905 000 0053. Patient n is person n - 100.

CREATE TABLE main.patients (
    patient_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    name TEXT,
    dob DATE,
    sex TEXT,
    postcode TEXT,
    gp_practice TEXT,
    deceased BOOLEAN,
    diagnosis TEXT
);

INSERT INTO main.patients VALUES
    (101, '901 000 1016', 'Smith', '1940-01-31', 'F', 'TQ1 4AA', 'Chelston', FALSE, 'asthma'),
    (102, '902 000 0020', 'smith', '1941-02-28', 'M', 'tq1 3bb', 'chelston', FALSE, 'HIV'),
    (103, '903 000 0031', 'SMITH', '1942-03-01', 'F', 'TQ2 6PU', 'Chelston', FALSE, 'stroke'),
    (104, '904 000 0042', 'Denied By Name', '1943-04-04', 'M', 'TQ2 6PV', 'Brunel', FALSE, 'secret-104'),
    (105, '905 000 0053', 'O''Brien, Siân', '1944-02-29', 'F', 'TQ2 6PW', 'Brunel', FALSE, 'asthma'),
    (106, '906 000 0064', 'Müller "Bob"', '1945-05-08', 'M', 'TQ14AA', 'Brunel', FALSE, NULL),
    (107, '907 000 0075', 'Smith ', '1946-06-06', 'f', ' TQ3 1AA ', 'Chelston ', FALSE, 'asthma'),
    (108, '908 000 0086', 'Withdrawn Today', '1947-07-07', 'F', 'TQ3 1AB', 'Chelston', FALSE, 'asthma'),
    (109, '909 000 0097', 'Refused Until Today', '1948-08-08', 'M', 'TQ3 1AC', 'Brunel', FALSE, 'asthma'),
    (110, '910 000 0108', 'Refused Without Purpose', '1949-09-09', 'F', 'TQ3 1AD', 'Brunel', FALSE, 'asthma'),
    (111, '911 000 0119', '', '1950-10-10', 'M', '', '', FALSE, ''),
    (112, '912 000 1126', 'Denied At Equal Rank', '1951-11-11', 'F', 'TQ4 7AA', 'Chelston', FALSE, 'asthma'),
    (113, '913 000 0130', 'Both At Once', '1952-12-12', 'M', 'TQ4 7AB', 'Chelston', FALSE, 'asthma'),
    (114, '914 000 0141', 'Zoë', '1953-01-13', 'F', NULL, 'Brunel', FALSE, 'diabetes'),
    (115, '915 000 0152', 'Zoë', '1954-02-14', NULL, 'EX4 6', 'Brunel', FALSE, 'diabetes'),
    (116, '916 000 0163', '佐藤', NULL, 'M', 'UNKNOWN POSTCODE', NULL, FALSE, 'diabetes'),
    (117, '917 000 0174', NULL, '1956-04-16', 'F', 'TQ1', 'Brunel', FALSE, 'diabetes'),
    (118, '918 000 0185', 'Ng_100%', '1957-05-17', 'M', 'TQ1 4AA', 'Chelston', FALSE, NULL),
    (119, '919 000 0196', 'back\slash', '1958-06-18', 'F', 'TQ1 4AB', 'Chelston', FALSE, NULL),
    (120, '920 000 0207', 'Ng-100x', '1959-07-19', 'M', 'TQ1 4AC', 'Chelston', FALSE, NULL),
    (121, '921 000 0218', 'Unreadable End', '1960-08-20', 'F', 'TQ1 4AD', 'Brunel', FALSE, 'asthma'),
    (122, '922 000 0229', 'Unknown Status', '1961-09-21', 'M', 'TQ1 4AE', 'Brunel', FALSE, 'asthma'),
    (123, '923 000 1236', 'Łukasz; DROP TABLE patients --', '2000-02-29', 'M', 'TQ2 6PX', 'Brunel', FALSE, 'asthma'),
    (124, '924 000 0240', 'Research Only', '1999-12-31', 'F', 'TQ2 6PY', 'Brunel', FALSE, 'asthma'),
    (125, '925 000 0251', 'Smith', '1940-01-31', 'F', 'TQ2 6PU', 'Chelston', FALSE, 'asthma'),
    (126, '926 000 0262', ' ', '1970-01-01', '', 'TQ2 6PZ', 'Chelston', FALSE, 'asthma'),
    (127, '927 000 0273', 'NULL', '1969-12-31', 'M', 'TQ2 6PU', 'Brunel', FALSE, 'asthma'),
    (128, '928 000 0284', 'Deceased', '1930-01-01', 'F', 'TQ2 6PU', 'Chelston', TRUE, 'stroke'),
    (129, '929 000 0295', 'Perhaps Deceased', '1931-01-01', 'M', 'TQ2 6PU', 'Chelston', NULL, 'stroke'),
    (130, '930 000 0306', 'Timestamped', '1988-03-30', 'F', 'PL1 2CD', 'Drake', FALSE, 'asthma'),
    (131, '931 000 0317', 'Impossible Start', '1989-04-30', 'M', 'PL1 2CE', 'Drake', FALSE, 'asthma'),
    -- Person 1 once more: two records of one person.
    (132, '901 000 1016', 'Smyth', '1940-01-31', 'F', 'TQ5 8AA', 'Chelston', FALSE, 'asthma'),
    -- No keys of the declared form: a wrong check digit, no blanks, hyphens, a blank too many, nothing, NULL.
    (133, '901 000 1017', 'Wrong Check Digit', '1950-01-01', 'F', 'TQ1 4AA', 'Chelston', FALSE, 'secret-133'),
    (134, '9320000328', 'Compact Here', '1950-01-01', 'M', 'TQ1 4AA', 'Chelston', FALSE, 'secret-134'),
    (135, '933-000-0339', 'Hyphens Here', '1950-01-01', 'F', 'TQ1 4AA', 'Chelston', FALSE, 'secret-135'),
    (136, '934 000 1346 ', 'Trailing Blank', '1950-01-01', 'M', 'TQ1 4AA', 'Chelston', FALSE, 'secret-136'),
    (137, '', 'Empty Key', '1950-01-01', 'F', 'TQ1 4AA', 'Chelston', FALSE, 'secret-137'),
    (138, NULL, 'No Key', '1950-01-01', 'M', 'TQ1 4AA', 'Chelston', FALSE, 'secret-138');

CREATE INDEX patients_by_number ON patients (nhs_number);

CREATE TABLE main.encounters (
    encounter_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    kind TEXT,
    clinic TEXT,
    cost DECIMAL(10,2),
    happened_on DATE,
    sensitive BOOLEAN,
    note TEXT
);

INSERT INTO main.encounters VALUES
    (1, '901 000 1016', 'admission', 'Ward 1', 1200.50, '2026-01-10', FALSE, 'fell'),
    (2, '901 000 1016', 'visit', 'Ward 1', 80.00, '2026-02-11', FALSE, NULL),
    (3, '901 000 1016', 'visit', 'Sexual health', 75.25, '2026-03-12', TRUE, 'sensitive-3'),
    (4, '902 000 0020', 'visit', 'Ward 2', 0.10, '2026-01-31', FALSE, NULL),
    (5, '902 000 0020', 'visit', 'Ward 2', 0.20, '2026-02-28', FALSE, NULL),
    (6, '903 000 0031', 'admission', 'Ward 1', 4321.00, '2026-03-03', FALSE, 'refused-6'),
    (7, '904 000 0042', 'visit', 'Ward 1', 66.60, '2026-03-04', FALSE, 'refused-7'),
    (8, '905 000 0053', 'admission', 'Ward 3', 99999999.99, '2025-12-31', FALSE, NULL),
    (9, '905 000 0053', 'Visit', 'Ward 3', -3.10, '2026-01-01', FALSE, 'a refund'),
    (10, '906 000 0064', 'visit', NULL, NULL, '2026-04-01', FALSE, NULL),
    (11, '907 000 0075', NULL, 'Ward 2', 0.00, NULL, FALSE, NULL),
    (12, '908 000 0086', 'visit', 'Ward 2', 10.00, '2026-04-02', FALSE, NULL),
    (13, '911 000 0119', 'visit', '', 15.75, '2026-04-03', NULL, 'perhaps sensitive'),
    (14, '914 000 0141', 'visit', 'Ward 2', 20.00, '2026-04-04', FALSE, NULL),
    (15, '915 000 0152', 'visit', 'Ward 2', 20.00, '2026-04-04', FALSE, NULL),
    (16, '915 000 0152', 'admission', 'Ward 4', 2500.00, '2026-04-05', FALSE, NULL),
    (17, '916 000 0163', 'visit', 'Ward 4', 7.77, '2026-04-06', FALSE, NULL),
    (18, '917 000 0174', 'visit ', 'Ward 4', 8.88, '2026-04-07', FALSE, NULL),
    (19, '923 000 1236', 'telephone', 'Ward 1', 5.00, '2026-05-31', FALSE, NULL),
    (20, '924 000 0240', 'visit', 'Ward 1', 6.00, '2026-05-31', FALSE, NULL),
    (21, '928 000 0284', 'admission', 'Ward 1', 700.00, '2025-01-01', FALSE, 'died'),
    (22, '930 000 0306', 'visit', 'Ward 5', 30.30, '2026-06-01', FALSE, NULL),
    (23, NULL, 'visit', 'Ward 5', 1.00, '2026-06-01', FALSE, 'nobody-23'),
    (24, '901 000 1017', 'visit', 'Ward 5', 2.00, '2026-06-01', FALSE, 'nobody-24');

CREATE INDEX encounters_by_number ON encounters (nhs_number);

-- The register's own codes: direct_care, research, planning; TASC, UEX and EXETER, TCOM. Dates are text, as typed.
CREATE TABLE main.consents (
    consent_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    purpose TEXT,
    recipient TEXT,
    status TEXT,
    valid_from TEXT,
    valid_to TEXT
);

INSERT INTO main.consents VALUES
    (2, '902 000 0020', 'direct_care', 'TASC', 'granted', '2026-01-01', NULL),
    (3, '903 000 0031', 'direct_care', 'TASC', 'refused', '2026-01-01', NULL),
    -- A special refusal outranks a general permission, and the other way round.
    (4, '904 000 0042', '*', '*', 'granted', '2026-01-01', NULL),
    (5, '904 000 0042', 'direct_care', 'TASC', 'refused', '2026-01-01', NULL),
    (6, '905 000 0053', '*', '*', 'refused', '2026-01-01', NULL),
    (7, '905 000 0053', 'direct_care', 'TASC', 'granted', '2026-01-01', NULL),
    -- Refusals that ended yesterday, begin tomorrow, begin today, end today.
    (8, '906 000 0064', 'direct_care', 'TASC', 'refused', '2026-01-01', '2026-05-31'),
    (9, '907 000 0075', 'direct_care', 'TASC', 'refused', '2026-06-02', NULL),
    (10, '908 000 0086', 'direct_care', 'TASC', 'withdrawn', '2026-06-01', NULL),
    (11, '909 000 0097', 'direct_care', 'TASC', 'refused', '2026-01-01', '2026-06-01'),
    -- NULL is no wildcard: it never permits, and in a refusal it denies all the same.
    (12, '910 000 0108', NULL, 'TASC', 'refused', '2026-01-01', NULL),
    (13, '911 000 0119', NULL, 'TASC', 'granted', '2026-01-01', NULL),
    -- At equal rank a refusal wins.
    (14, '912 000 1126', 'direct_care', '*', 'granted', '2026-01-01', NULL),
    (15, '912 000 1126', '*', 'TASC', 'refused', '2026-01-01', NULL),
    (16, '913 000 0130', 'direct_care', 'TASC', 'granted', '2026-01-01', NULL),
    (17, '913 000 0130', 'direct_care', 'TASC', 'refused', '2026-01-01', NULL),
    (18, '914 000 0141', 'research', 'UEX', 'refused', '2026-01-01', NULL),
    (19, '915 000 0152', 'research', 'EXETER', 'granted', '2026-01-01', NULL),
    (20, '916 000 0163', 'research', '*', 'granted', '2026-01-01', NULL),
    (21, '917 000 0174', '*', '*', 'granted', '2026-01-01', NULL),
    (22, '918 000 0185', 'research', 'UEX', 'granted', '2025-01-01', '2026-05-31'),
    -- An unknown start never begins a permission; an unreadable end is no open end, yet it ends no refusal.
    (23, '919 000 0196', 'research', 'UEX', 'granted', NULL, NULL),
    (24, '920 000 0207', 'research', 'UEX', 'granted', '2026-01-01', 'unknown'),
    (25, '921 000 0218', 'direct_care', 'TASC', 'refused', '2026-01-01', 'soon'),
    (26, '922 000 0229', 'direct_care', 'TASC', NULL, '2026-01-01', NULL),
    -- Words that are none of the register's, purposes with a blank too many, a number that is not in the declared form.
    (27, '923 000 1236', 'direct_care', 'TASC', 'pending', '2026-01-01', NULL),
    (28, '923 000 1236', 'planning', '*', 'refused', '2026-01-01', NULL),
    (29, '924 000 0240', '*', '*', 'refused', '2026-01-01', NULL),
    (30, '924 000 0240', 'research', '*', 'granted', '2026-01-01', NULL),
    (31, '9250000251', 'direct_care', 'TASC', 'refused', '2026-01-01', NULL),
    (32, '926 000 0262', 'direct_care', 'TASC', 'Refused', '2026-01-01', NULL),
    (33, '927 000 0273', 'direct_care ', 'TASC', 'refused', '2026-01-01', NULL),
    (34, '930 000 0306', 'research', 'UEX', 'granted', '2026-05-01 09:30:00', '2026-06-01T23:59:59'),
    (35, '930 000 0306', 'research', '*', 'refused', '2026-01-01', NULL),
    (36, '931 000 0317', 'research', 'UEX', 'granted', '2026-02-30', NULL),
    (37, NULL, '*', '*', 'refused', '2026-01-01', NULL),
    (38, '', '*', '*', 'refused', '2026-01-01', NULL),
    (39, '902 000 0020', 'direct_care', 'tasc', 'refused', '2026-01-01', NULL),
    (40, '901 000 1016', 'direct_care', 'OTHER', 'refused', '2026-01-01', NULL);

CREATE INDEX consents_by_number ON consents (nhs_number);

-- Decisions class by class, about records of certain dates, by those who may decide, and the notes that they are about.
CREATE TABLE main.care_decisions (
    decision_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    purpose TEXT,
    data_class TEXT,
    status TEXT,
    given_by TEXT,
    born DATE,
    valid_from DATE,
    records_from DATE,
    records_until DATE
);

INSERT INTO main.care_decisions VALUES
    (1, '901 000 1016', '*', 'mental-health', 'granted', 'patient', '1940-01-31', '2026-01-01', '2020-01-01', NULL),
    -- Two of four notes are of the dates that are permitted.
    (2, '902 000 0020', '*', 'mental-health', 'granted', 'patient', '1941-02-28', '2026-01-01', '2026-01-01', '2026-03-31'),
    -- Of a neighbour, who may not decide: a permission is none, a refusal is one.
    (3, '903 000 0031', '*', 'mental-health', 'granted', 'neighbour', '1942-03-01', '2026-01-01', '2020-01-01', NULL),
    (4, '909 000 0097', '*', 'mental-health', 'refused', 'neighbour', '1948-08-08', '2026-01-01', '2020-01-01', NULL),
    -- A parent decides until the day on which the child is 16.
    (5, '904 000 0042', '*', 'mental-health', 'granted', 'parent', '2012-01-01', '2026-01-01', '2020-01-01', NULL),
    (6, '905 000 0053', '*', 'mental-health', 'granted', 'parent', '2010-06-01', '2026-01-01', '2020-01-01', NULL),
    (7, '906 000 0064', '*', 'mental-health', 'granted', 'parent', '2010-06-02', '2026-01-01', '2020-01-01', NULL),
    (8, '907 000 0075', '*', 'mental-health', 'refused', 'parent', '2010-06-01', '2026-01-01', '2020-01-01', NULL),
    (9, '908 000 0086', '*', 'mental-health', 'refused', 'parent', NULL, '2026-01-01', '2020-01-01', NULL),
    -- A decision about the class outranks one about every class.
    (10, '910 000 0108', '*', '*', 'granted', 'patient', '1949-09-09', '2026-01-01', '2020-01-01', NULL),
    (11, '910 000 0108', '*', 'mental-health', 'refused', 'patient', '1949-09-09', '2026-01-01', '2020-01-01', NULL),
    (12, '911 000 0119', '*', '*', 'refused', 'patient', '1950-10-10', '2026-01-01', '2020-01-01', NULL),
    (13, '911 000 0119', '*', 'mental-health', 'granted', 'patient', '1950-10-10', '2026-01-01', '2020-01-01', NULL),
    -- Refused for older records, permitted for newer ones, at equal rank.
    (14, '912 000 1126', '*', 'mental-health', 'refused', 'patient', '1951-11-11', '2026-01-01', '2000-01-01', '2025-12-31'),
    (15, '912 000 1126', '*', 'mental-health', 'granted', 'patient', '1951-11-11', '2026-01-01', '2026-01-01', NULL),
    -- A note without a date: no permission covers it, every refusal does.
    (16, '913 000 0130', '*', 'mental-health', 'granted', 'patient', '1952-12-12', '2026-01-01', '2000-01-01', NULL),
    (17, '914 000 0141', '*', 'mental-health', 'refused', 'patient', '1953-01-13', '2026-01-01', '2000-01-01', '2000-12-31'),
    -- On the list of those whose records are not to be linked.
    (18, '915 000 0152', '*', 'mental-health', 'granted', 'patient', '1954-02-14', '2026-01-01', '2000-01-01', NULL),
    -- Decisions that do not say for which records.
    (19, '916 000 0163', '*', 'mental-health', 'granted', 'patient', '1955-03-15', '2026-01-01', NULL, NULL),
    (20, '917 000 0174', '*', 'mental-health', 'refused', 'patient', '1956-04-16', '2026-01-01', NULL, NULL),
    -- About another class.
    (21, '918 000 0185', '*', 'physical', 'granted', 'patient', '1957-05-17', '2026-01-01', '2000-01-01', NULL),
    (22, '919 000 0196', '*', 'mental-health', 'granted', 'lpa', '1958-06-18', '2026-01-01', '2000-01-01', NULL),
    -- Of three codes, two outrank one: general but for the purpose and the class, against the class alone.
    (23, '921 000 0218', '*', 'mental-health', 'refused', 'patient', '1960-08-20', '2026-01-01', '2000-01-01', NULL),
    (24, '921 000 0218', 'review', 'mental-health', 'granted', 'patient', '1960-08-20', '2026-01-01', '2000-01-01', NULL),
    -- The more special permission is about other records, so that the refusal stands.
    (25, '922 000 0229', '*', 'mental-health', 'refused', 'patient', '1961-09-21', '2026-01-01', '2000-01-01', NULL),
    (26, '922 000 0229', 'review', 'mental-health', 'granted', 'patient', '1961-09-21', '2026-01-01', '2000-01-01', '2020-12-31');

CREATE TABLE main.care_notes (
    note_id INTEGER PRIMARY KEY,
    nhs_number TEXT,
    happened_on DATE,
    at_risk BOOLEAN,
    place TEXT,
    phone TEXT
);

INSERT INTO main.care_notes VALUES
    (1, '901 000 1016', '2026-01-10', FALSE, 'Ward 1', '01803 111222'),
    (2, '902 000 0020', '2026-01-01', TRUE, 'Refuge', '01803 222333'),
    (3, '902 000 0020', '2026-03-31', FALSE, 'Ward 2', '01803 222334'),
    (4, '902 000 0020', '2026-04-01', FALSE, 'Ward 2', NULL),
    (5, '902 000 0020', '2025-12-31', FALSE, 'Ward 2', NULL),
    (6, '903 000 0031', '2026-01-10', FALSE, 'Ward 3', NULL),
    (7, '904 000 0042', '2026-01-10', NULL, 'Nobody knows', '01803 444555'),
    (8, '905 000 0053', '2026-01-10', FALSE, 'Ward 5', NULL),
    (9, '906 000 0064', '2026-01-10', FALSE, 'Ward 6', NULL),
    (10, '907 000 0075', '2026-01-10', FALSE, 'Ward 7', NULL),
    (11, '908 000 0086', '2026-01-10', FALSE, 'Ward 8', NULL),
    (12, '909 000 0097', '2026-01-10', FALSE, 'Ward 9', NULL),
    (13, '910 000 0108', '2026-01-10', FALSE, 'Ward 10', NULL),
    (14, '911 000 0119', '2026-01-10', FALSE, 'Ward 11', NULL),
    (15, '912 000 1126', '2025-06-01', FALSE, 'Ward 12', NULL),
    (16, '912 000 1126', '2026-02-01', FALSE, 'Ward 12', NULL),
    (17, '913 000 0130', NULL, FALSE, 'Ward 13', NULL),
    (18, '914 000 0141', NULL, FALSE, 'Ward 14', NULL),
    (19, '915 000 0152', '2026-01-10', FALSE, 'Ward 15', NULL),
    (20, '916 000 0163', '2026-01-10', FALSE, 'Ward 16', NULL),
    (21, '917 000 0174', '2026-01-10', FALSE, 'Ward 17', NULL),
    (22, '918 000 0185', '2026-01-10', FALSE, 'Ward 18', NULL),
    (23, '919 000 0196', '2026-01-10', FALSE, 'Ward 19', NULL),
    (24, '920 000 0207', '2026-01-10', FALSE, 'Ward 20', NULL),
    (25, '921 000 0218', '2026-01-10', FALSE, 'Ward 21', NULL),
    (26, '922 000 0229', '2026-01-10', FALSE, 'Ward 22', NULL),
    -- Nobody's number.
    (27, NULL, '2026-01-10', FALSE, 'Ward 23', NULL);

CREATE TABLE main.adopted (nhs_number TEXT);

INSERT INTO main.adopted VALUES ('915 000 0152');
