-- What the safeguarding lead may see under TEST-SAFE: every row, since consent is not asked; what is no key is NULL.

CREATE TABLE police.main.persons AS
SELECT person_id, CASE WHEN person_id <= 8 THEN replace(nhs_number, '-', '') END AS nhs_number, name, born_on, warning
FROM raw.police.persons;

CREATE TABLE police.main.incidents AS
SELECT incident_id, replace(replace(nhs_number, ' ', ''), '-', '') AS nhs_number, kind, role, severity, happened_at
FROM raw.police.incidents;

CREATE TABLE social.main.clients AS
SELECT client_id, CASE WHEN client_id < 'C90' THEN nhs_number END AS nhs_number, full_name, CAST(NULL AS TEXT) AS address
FROM raw.social.clients;

CREATE TABLE health.main.patients AS
SELECT patient_id, CASE WHEN patient_id <= 132 THEN replace(nhs_number, ' ', '') END AS nhs_number, name, dob
FROM raw.health.patients;

CREATE TABLE housing.main.tenants AS
SELECT tenant_id, CASE WHEN tenant_id <= 11 THEN replace(replace(nhs_no, ' ', ''), '-', '') END AS nhs_no, name, postcode
FROM raw.housing.tenants;
