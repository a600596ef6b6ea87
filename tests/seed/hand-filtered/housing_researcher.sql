-- What the housing researcher may see under TEST-HOU: members of the study, persons 1, 4, 6 (to today) and 15. Person 2's
-- membership ended yesterday.

CREATE TABLE housing.main.tenants AS
SELECT tenant_id, replace(replace(nhs_no, ' ', ''), '-', '') AS nhs_no, name
FROM raw.housing.tenants
WHERE tenant_id IN (1, 2, 5, 7, 9);

CREATE TABLE health.main.patients AS
SELECT patient_id, replace(nhs_number, ' ', '') AS nhs_number, dob
FROM raw.health.patients
WHERE patient_id IN (101, 132, 104, 106, 115);
