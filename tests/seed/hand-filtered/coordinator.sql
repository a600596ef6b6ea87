-- What the coordinator may see under TEST-INT: nobody who refused in the register of consents, nor persons 1, 5 and 14, who
-- stand in the register of dissent. Person 2 stands there in a form that is not the register's, and so does not.

CREATE TABLE health.main.patients AS
SELECT patient_id, replace(nhs_number, ' ', '') AS nhs_number, name
FROM raw.health.patients
WHERE patient_id IN (102, 106, 107, 111, 115, 116, 117, 118, 119, 120, 123, 125, 126, 127, 128, 129, 130, 131);

CREATE TABLE social.main.clients AS
SELECT client_id, nhs_number, full_name, team
FROM raw.social.clients
WHERE client_id IN ('C11', 'C35');
