-- What the researcher may see under TEST-RES: those alone who agreed. Persons 4 (for all), 15 (by the second code of the
-- university), 16 (to everybody), 17 (for all), 24 (for research, against a general refusal), 30 (to the university, against
-- a refusal to everybody). Not 11 (NULL purpose), 18 (ended), 19 (unknown start), 20 (unreadable end), 31 (no such day).

CREATE TABLE health.main.patients AS
SELECT patient_id, replace(nhs_number, ' ', '') AS nhs_number,
       CASE patient_id WHEN 104 THEN 1943 WHEN 115 THEN 1954 WHEN 117 THEN 1956 WHEN 124 THEN 1999 WHEN 130 THEN 1988 END AS dob,
       sex, gp_practice
FROM raw.health.patients
WHERE patient_id IN (104, 115, 116, 117, 124, 130);

CREATE TABLE health.main.encounters AS
SELECT encounter_id, replace(nhs_number, ' ', '') AS nhs_number, kind, cost
FROM raw.health.encounters
WHERE encounter_id IN (7, 15, 16, 17, 18, 20, 22);

CREATE TABLE social.main.assessments AS
SELECT assessment_id, nhs_number, need, score
FROM raw.social.assessments
WHERE assessment_id IN (6, 9, 10, 11, 12, 13, 14);
