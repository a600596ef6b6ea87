-- What the officer may see under TEST-CRI: all but persons 1, 5 and 14, who stand in the register of dissent, and rows of
-- nobody.

CREATE TABLE police.main.persons AS
SELECT person_id, replace(nhs_number, '-', '') AS nhs_number, name, warning
FROM raw.police.persons
WHERE person_id IN (2, 3, 6, 7, 8);

CREATE TABLE police.main.incidents AS
SELECT incident_id, replace(replace(nhs_number, ' ', ''), '-', '') AS nhs_number, kind, severity
FROM raw.police.incidents
WHERE incident_id IN (3, 4, 7, 8);

CREATE TABLE social.main.clients AS
SELECT client_id, nhs_number, full_name
FROM raw.social.clients
WHERE client_id IN ('C02', 'C03', 'C06', 'C08', 'C11', 'C15', 'C16', 'C17', 'C24', 'C28', 'C30', 'C35');
