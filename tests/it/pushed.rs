//! What one agency can do alone, it does: each of these queries is one statement of its source, in these words.

use crate::harness::{Backend, World};

/// Where the words are looked for: all databases have them, or each its own.
enum Words {
    All(&'static [&'static str]),
    Each {
        sqlite: &'static [&'static str],
        postgres: &'static [&'static str],
        mariadb: &'static [&'static str],
        sqlserver: &'static [&'static str],
    },
    /// Transact-SQL says it in words of its own, the second ones.
    OrTransact(&'static [&'static str], &'static [&'static str]),
    /// These cannot do it.
    NotIn(&'static [Backend], &'static [&'static str]),
}

use Words::{All, Each, NotIn, OrTransact};

const PUSHED: &[(&str, Words)] = &[
    (
        "SELECT person_id FROM police.main.persons AS p WHERE EXISTS (SELECT 1 FROM police.main.incidents AS i WHERE i.nhs_number = p.nhs_number)",
        All(&[" EXISTS (SELECT 1 "]),
    ),
    (
        "SELECT i.kind FROM police.main.persons AS p RIGHT ANTI JOIN police.main.incidents AS i ON i.nhs_number = p.nhs_number",
        All(&["NOT EXISTS (SELECT 1 "]),
    ),
    (
        "SELECT person_id FROM police.main.persons WHERE nhs_number NOT IN (SELECT nhs_number FROM police.main.incidents)",
        Each {
            sqlite: &[" NOT IN (SELECT "],
            postgres: &["NOT EXISTS (SELECT 1 ", " IS NULL"],
            mariadb: &[" NOT IN (SELECT "],
            sqlserver: &["NOT EXISTS (SELECT 1 ", " IS NULL"],
        },
    ),
    (
        "SELECT person_id FROM police.main.persons WHERE person_id = 3 OR nhs_number IN (SELECT nhs_number FROM police.main.incidents)",
        Each {
            sqlite: &[" OR EXISTS (SELECT 1 "],
            postgres: &[" OR EXISTS (SELECT 1 "],
            mariadb: &[" OR (CASE EXISTS (SELECT 1 "],
            sqlserver: &[" EXISTS (SELECT 1 "],
        },
    ),
    (
        "SELECT nhs_number FROM police.main.persons INTERSECT SELECT nhs_number FROM police.main.incidents",
        All(&[" INTERSECT "]),
    ),
    (
        "SELECT nhs_number FROM police.main.persons EXCEPT SELECT nhs_number FROM police.main.incidents",
        All(&[" EXCEPT "]),
    ),
    (
        "SELECT nhs_number FROM police.main.persons EXCEPT ALL SELECT nhs_number FROM police.main.incidents",
        All(&["NOT EXISTS (SELECT 1 ", " IS NULL"]),
    ),
    (
        "SELECT nhs_number FROM police.main.persons UNION SELECT nhs_number FROM police.main.incidents",
        All(&[" UNION ALL ", " GROUP BY "]),
    ),
    (
        "SELECT p.person_id, i.n FROM police.main.persons AS p CROSS JOIN (SELECT count(*) AS n FROM police.main.incidents) AS i",
        All(&[" CROSS JOIN "]),
    ),
    (
        "SELECT p.person_id FROM police.main.persons AS p FULL JOIN police.main.incidents AS i ON i.nhs_number = p.nhs_number",
        NotIn(&[Backend::Mariadb], &[" FULL JOIN "]),
    ),
    (
        "SELECT incident_id FROM police.main.incidents WHERE severity = (SELECT max(severity) FROM police.main.incidents)",
        OrTransact(&[" CROSS JOIN (SELECT max("], &[" CROSS JOIN (SELECT MAX("]),
    ),
    (
        "SELECT kind FROM police.main.incidents GROUP BY kind HAVING count(*) > (SELECT count(*) FROM police.main.persons WHERE person_id < 3)",
        OrTransact(&[" GROUP BY ", " CROSS JOIN (SELECT count("], &[" GROUP BY ", " CROSS JOIN (SELECT COUNT_BIG("]),
    ),
    (
        "SELECT person_id, (SELECT max(severity) FROM police.main.incidents AS i WHERE i.nhs_number = p.nhs_number) AS worst FROM police.main.persons AS p",
        OrTransact(&[" LEFT JOIN (SELECT max("], &[" LEFT JOIN (SELECT MAX("]),
    ),
    (
        "SELECT kind, role, count(*) FROM police.main.incidents GROUP BY ROLLUP (kind, role)",
        Each {
            sqlite: &[" UNION ALL "],
            postgres: &["GROUPING SETS"],
            mariadb: &[" UNION ALL "],
            sqlserver: &[" UNION ALL "],
        },
    ),
    ("SELECT DISTINCT 5 AS k FROM police.main.incidents", All(&["5"])),
    (
        "SELECT count(*) FROM police.main.incidents HAVING count(*) > 3",
        OrTransact(&["count(*)", " > 3"], &["COUNT_BIG(*)", " > "]),
    ),
    (
        "SELECT incident_id FROM police.main.incidents ORDER BY incident_id LIMIT 3 OFFSET 2",
        OrTransact(&[" ORDER BY ", " LIMIT 3 OFFSET 2"], &[" ORDER BY ", " OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY"]),
    ),
    (
        "SELECT incident_id FROM police.main.incidents ORDER BY incident_id OFFSET 5",
        OrTransact(&[" OFFSET 5"], &[" OFFSET 5 ROWS"]),
    ),
    (
        "SELECT incident_id FROM police.main.incidents ORDER BY coalesce(severity, 0) DESC, incident_id LIMIT 3",
        OrTransact(&[" ORDER BY ", " LIMIT 3"], &["TOP (3) ", " ORDER BY "]),
    ),
    (
        "SELECT incident_id FROM (SELECT incident_id, severity FROM police.main.incidents ORDER BY severity, incident_id LIMIT 4) AS t WHERE severity > 1 ORDER BY incident_id LIMIT 2",
        OrTransact(&[" LIMIT 4", " LIMIT 2"], &["TOP (4) ", "TOP (2) "]),
    ),
    (
        "SELECT * FROM (SELECT incident_id, row_number() OVER (PARTITION BY nhs_number ORDER BY severity DESC, incident_id) AS n FROM police.main.incidents) AS t WHERE n = 1",
        OrTransact(
            &["row_number() OVER (PARTITION BY ", " = 1"],
            &["row_number() OVER (PARTITION BY ", " = CAST(1 AS bigint)"],
        ),
    ),
    (
        "SELECT incident_id, rank() OVER (ORDER BY severity), dense_rank() OVER (ORDER BY severity), ntile(3) OVER (ORDER BY incident_id) FROM police.main.incidents",
        All(&["rank() OVER (", "dense_rank() OVER (", "ntile(3) OVER ("]),
    ),
    (
        "SELECT incident_id, lag(severity) OVER (ORDER BY incident_id), lead(severity, 2, -1) OVER (ORDER BY incident_id), nth_value(kind, 2) OVER (ORDER BY incident_id) FROM police.main.incidents",
        NotIn(&[Backend::Mariadb, Backend::SqlServer], &["lag(", "lead(", ", 2, ", "nth_value("]),
    ),
    (
        "SELECT incident_id, sum(severity) OVER (ORDER BY incident_id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s FROM police.main.incidents",
        All(&["ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"]),
    ),
    (
        "SELECT kind, rank() OVER (ORDER BY sum(severity) DESC) AS r FROM police.main.incidents GROUP BY kind",
        All(&[" GROUP BY ", "rank() OVER ("]),
    ),
];

#[tokio::test]
async fn one_agencys_query_is_one_statement() {
    for backend in [Backend::Sqlite, Backend::Postgres, Backend::Mariadb, Backend::SqlServer] {
        let world = World::new(backend).await;
        let session = world.session("safeguarding_lead");
        let mut failures = Vec::new();
        for (sql, words) in PUSHED {
            let words = match (words, backend) {
                (_, Backend::Files) => panic!("what they compute is computed here anyway"),
                (All(words), _) => words,
                (Each { sqlite, .. }, Backend::Sqlite) => sqlite,
                (Each { postgres, .. }, Backend::Postgres) => postgres,
                (Each { mariadb, .. }, Backend::Mariadb) => mariadb,
                (Each { sqlserver, .. }, Backend::SqlServer) => sqlserver,
                (OrTransact(_, words), Backend::SqlServer) => words,
                (OrTransact(words, _), _) => words,
                (NotIn(without, words), backend) if without.contains(&backend) => {
                    let (_, _, fragments) = world.answer(&session, sql).await.unwrap();
                    let there = |word: &&str| fragments.iter().any(|fragment| fragment.sql.contains(*word));
                    assert!(!words.iter().any(there), "{backend:?}: {sql}");
                    continue;
                }
                (NotIn(_, words), _) => words,
            };
            let (_, _, fragments) =
                world.answer(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let [only] = fragments.as_slice() else {
                failures.push(format!("{} statements for {sql}", fragments.len()));
                continue;
            };
            for word in words.iter().filter(|word| !only.sql.contains(**word)) {
                failures.push(format!("no `{word}` for {sql}: {}", only.sql));
            }
        }
        assert!(failures.is_empty(), "{backend:?}: {}", failures.join("\n\n"));
    }
}

/// What would move more than it saves, or is not the same everywhere, stays here.
#[tokio::test]
async fn products_and_distances_are_made_here() {
    let kept = [
        (
            "SELECT p.person_id, i.incident_id FROM police.main.persons AS p CROSS JOIN police.main.incidents AS i",
            " JOIN ",
        ),
        (
            "SELECT sum(severity) OVER (ORDER BY severity RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM police.main.incidents",
            "OVER",
        ),
        ("SELECT kind, count(*) FROM police.main.incidents GROUP BY GROUPING SETS ((kind), (kind))", "GROUP"),
    ];
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let session = world.session("safeguarding_lead");
        for (sql, word) in kept {
            let (_, _, fragments) =
                world.answer(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert!(fragments.iter().all(|fragment| !fragment.sql.contains(word)), "{backend:?}: {sql}");
        }
    }
}
