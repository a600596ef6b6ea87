-- What the social worker may see under TEST-JNA, decided row by row from the register.
-- Refused: 3 and 4 (a special refusal), 8 (from today), 9 (to today), 10 (NULL purpose), 12 and 13 (a tie), 21 (unreadable
-- end), 22 (NULL status), 24 (refused for all). Not refused: 5 (a special permission), 6 (ended), 7 (not yet), 23 (`pending`),
-- 25 (written in another form), 26 (`Refused` is not `refused`), 27 (`direct_care ` is not `direct_care`).

CREATE TABLE health.main.patients AS
SELECT patient_id, replace(nhs_number, ' ', '') AS nhs_number, name, dob, sex,
       CASE patient_id
           WHEN 101 THEN 'TQ1' WHEN 102 THEN 'tq1' WHEN 105 THEN 'TQ2' WHEN 106 THEN 'TQ1' WHEN 107 THEN 'TQ3'
           WHEN 115 THEN 'EX4' WHEN 118 THEN 'TQ1' WHEN 119 THEN 'TQ1' WHEN 120 THEN 'TQ1' WHEN 123 THEN 'TQ2'
           WHEN 125 THEN 'TQ2' WHEN 126 THEN 'TQ2' WHEN 127 THEN 'TQ2' WHEN 130 THEN 'PL1' WHEN 131 THEN 'PL1'
           WHEN 132 THEN 'TQ5'
       END AS postcode,
       gp_practice
FROM raw.health.patients
WHERE patient_id IN (101, 102, 105, 106, 107, 111, 114, 115, 116, 117, 118, 119, 120, 123, 125, 126, 127, 130, 131, 132);

CREATE TABLE health.main.encounters AS
SELECT encounter_id, replace(nhs_number, ' ', '') AS nhs_number, kind, clinic, cost, happened_on
FROM raw.health.encounters
WHERE encounter_id IN (1, 2, 4, 5, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 21, 22);

CREATE TABLE social.main.clients AS
SELECT client_id, nhs_number, full_name,
       CASE client_id
           WHEN 'C01' THEN '***101' WHEN 'C02' THEN '***102' WHEN 'C05' THEN '***' WHEN 'C11' THEN '***'
           WHEN 'C14' THEN '***114' WHEN 'C15' THEN '***7é5' WHEN 'C16' THEN '***' WHEN 'C17' THEN '***117'
           WHEN 'C28' THEN '***128' WHEN 'C30' THEN '***130' WHEN 'C35' THEN '***135'
       END AS phone,
       team, CAST(NULL AS TEXT) AS note
FROM raw.social.clients
WHERE client_id IN ('C01', 'C02', 'C05', 'C06', 'C11', 'C14', 'C15', 'C16', 'C17', 'C28', 'C30', 'C35');

CREATE TABLE social.main.packages AS
SELECT package_id, nhs_number, kind, weekly_cost, started_on
FROM raw.social.packages
WHERE package_id IN (1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15, 16);

CREATE TABLE social.main.assessments AS
SELECT assessment_id, nhs_number, need, score, assessed_on
FROM raw.social.assessments
WHERE assessment_id IN (1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 14, 15);

CREATE TABLE housing.main.tenants AS
SELECT tenant_id, replace(replace(nhs_no, ' ', ''), '-', '') AS nhs_no, name, phone
FROM raw.housing.tenants
WHERE tenant_id IN (1, 2, 3, 6, 7, 8, 9, 11);

CREATE TABLE housing.main.tenancies AS
SELECT tenancy_id, replace(replace(nhs_no, ' ', ''), '-', '') AS nhs_no, 'a landlord' AS landlord, arrears,
       CASE tenancy_id
           WHEN 1 THEN 2010 WHEN 2 THEN 2020 WHEN 3 THEN 2019 WHEN 6 THEN 2021 WHEN 8 THEN 2022 WHEN 9 THEN 2023
           WHEN 11 THEN 2025
       END AS started_on
FROM raw.housing.tenancies
WHERE tenancy_id IN (1, 2, 3, 6, 7, 8, 9, 11);
