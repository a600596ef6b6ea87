//! A withdrawal that the agency commits counts from the next query on, on every path, with one engine that has answered
//! before; and permission counts again when it is given again.

use wayleave::federate::PushdownLevel;

use crate::harness::{Backend, World};

/// A person's decision at its register: how it is taken back, and how it is given again. The world starts with it given.
struct Decision {
    name: &'static str,
    agency: &'static str,
    withdraw: &'static str,
    give: &'static str,
    paths: &'static [Path],
}

/// A query whose answer tells of the person.
struct Path {
    name: &'static str,
    session: &'static str,
    sql: &'static str,
    given: &'static [&'static str],
    withdrawn: &'static [&'static str],
}

const fn path(
    name: &'static str,
    session: &'static str,
    sql: &'static str,
    given: &'static [&'static str],
    withdrawn: &'static [&'static str],
) -> Path {
    Path { name, session, sql, given, withdrawn }
}

/// The paths of person 15, under an agreement that permits unless somebody refused.
const ASKED_ABOUT_15: &[Path] = &[
    path("a scan", "social_worker", "SELECT patient_id FROM health.main.patients WHERE sex IS NULL", &["115"], &[]),
    path(
        "a lookup by key",
        "social_worker",
        "SELECT patient_id FROM health.main.patients WHERE nhs_number = '9150000152'",
        &["115"],
        &[],
    ),
    path(
        "a lookup by several keys",
        "social_worker",
        "SELECT patient_id FROM health.main.patients WHERE nhs_number IN ('9150000152', '9170000174') ORDER BY 1",
        &["115", "117"],
        &["117"],
    ),
    path(
        "a lookup where the register is elsewhere",
        "social_worker",
        "SELECT client_id FROM social.main.clients WHERE nhs_number = '9150000152'",
        &["C15"],
        &[],
    ),
    path(
        "a lookup of a number in mixed forms",
        "social_worker",
        "SELECT tenant_id FROM housing.main.tenants WHERE nhs_no = '9150000152'",
        &["9"],
        &[],
    ),
    path(
        "a filter by another column",
        "social_worker",
        "SELECT client_id FROM social.main.clients WHERE full_name LIKE 'Zoe%' ORDER BY 1",
        &["C14", "C15"],
        &["C14"],
    ),
    path(
        "a filter that runs in the engine",
        "social_worker",
        "SELECT client_id FROM social.main.clients WHERE upper(full_name) LIKE 'ZOE FI%'",
        &["C15"],
        &[],
    ),
    path(
        "a limit",
        "social_worker",
        "SELECT patient_id FROM health.main.patients WHERE sex IS NULL LIMIT 1",
        &["115"],
        &[],
    ),
    path(
        "a join inside one agency",
        "social_worker",
        "SELECT e.encounter_id FROM health.main.patients p JOIN health.main.encounters e ON e.nhs_number = p.nhs_number \
         WHERE p.patient_id IN (114, 115) ORDER BY 1",
        &["14", "15", "16"],
        &["14"],
    ),
    path(
        "a join across agencies",
        "social_worker",
        "SELECT a.assessment_id FROM health.main.patients p JOIN social.main.assessments a \
         ON a.nhs_number = p.nhs_number WHERE p.patient_id IN (114, 115) ORDER BY 1",
        &["8", "9", "10"],
        &["8"],
    ),
    path(
        "a join across three agencies",
        "social_worker",
        "SELECT t.tenancy_id FROM health.main.patients p JOIN social.main.clients c ON c.nhs_number = p.nhs_number \
         JOIN housing.main.tenancies t ON t.nhs_no = c.nhs_number WHERE p.patient_id IN (114, 115) ORDER BY 1",
        &["8", "9"],
        &["8"],
    ),
    path(
        "an outer join",
        "social_worker",
        "SELECT p.patient_id, c.client_id FROM social.main.clients c FULL JOIN health.main.patients p \
         ON c.nhs_number = p.nhs_number WHERE p.sex IS NULL AND (c.client_id = 'C15' OR p.patient_id = 115)",
        &["115"],
        &[],
    ),
    path(
        "a keyed join, whose giver the person is in",
        "social_worker",
        "SELECT p.patient_id FROM social.main.clients c JOIN health.main.patients p ON p.nhs_number = c.nhs_number \
         WHERE c.client_id = 'C15'",
        &["115"],
        &[],
    ),
    path(
        "a semi-join",
        "social_worker",
        "SELECT client_id FROM social.main.clients WHERE nhs_number IN (SELECT nhs_number FROM health.main.patients \
         WHERE dob BETWEEN '1953-01-01' AND '1954-12-31') ORDER BY 1",
        &["C14", "C15"],
        &["C14"],
    ),
    path(
        "an anti-join, in which the withdrawn may not come up by their absence",
        "social_worker",
        "SELECT client_id FROM social.main.clients c WHERE client_id = 'C15' AND NOT EXISTS (SELECT 1 FROM \
         health.main.patients p WHERE p.nhs_number = c.nhs_number)",
        &[],
        &[],
    ),
    path(
        "a count at the agency",
        "social_worker",
        "SELECT count(*) FROM health.main.encounters WHERE clinic = 'Ward 4'",
        &["3"],
        &["2"],
    ),
    path(
        "a grouping in the engine",
        "social_worker",
        "SELECT sum(weekly_cost) FROM social.main.packages WHERE kind = 'home care' GROUP BY kind",
        &["1460"],
        &["1190"],
    ),
    path(
        "a window",
        "social_worker",
        "SELECT max(n) FROM (SELECT row_number() OVER (PARTITION BY name ORDER BY patient_id) AS n \
         FROM health.main.patients WHERE name LIKE 'Zo%' AND dob > '1954-01-01') AS t",
        &["1"],
        &["NULL"],
    ),
    path(
        "a union",
        "social_worker",
        "SELECT kind FROM health.main.encounters WHERE cost = 2500 UNION SELECT need FROM social.main.assessments \
         WHERE score = 8 ORDER BY 1",
        &["Memory", "admission"],
        &[],
    ),
    path(
        "the unified view",
        "social_worker",
        "SELECT nhs_number FROM unified.clients WHERE nhs_number IN ('9150000152', '9170000174') ORDER BY 1",
        &["9150000152", "9170000174"],
        &["9170000174"],
    ),
    path(
        "the unified view's count",
        "social_worker",
        "SELECT count(*) FROM unified.clients WHERE name LIKE 'Zo%'",
        &["2"],
        &["1"],
    ),
];

const DECISIONS: &[Decision] = &[
    Decision {
        name: "a refusal that is entered and taken out",
        agency: "health",
        withdraw: "INSERT INTO consents VALUES (800, '915 000 0152', 'direct_care', 'TASC', 'withdrawn', '2026-06-01', NULL)",
        give: "DELETE FROM consents WHERE consent_id = 800",
        paths: ASKED_ABOUT_15,
    },
    Decision {
        name: "a general refusal that a special permission outranks",
        agency: "health",
        withdraw: "INSERT INTO consents VALUES (801, '915 000 0152', 'direct_care', '*', 'refused', '2026-01-01', NULL)",
        give: "INSERT INTO consents VALUES (802, '915 000 0152', 'direct_care', 'TASC', 'granted', '2026-01-01', NULL)",
        paths: ASKED_ABOUT_15,
    },
    Decision {
        name: "a special permission over a general refusal is withdrawn",
        agency: "health",
        withdraw: "UPDATE consents SET status = 'withdrawn' WHERE consent_id = 7",
        give: "UPDATE consents SET status = 'granted' WHERE consent_id = 7",
        paths: &[
            path(
                "here",
                "social_worker",
                "SELECT name FROM health.main.patients WHERE patient_id = 105",
                &["O'Brien, Siân"],
                &[],
            ),
            path(
                "elsewhere",
                "social_worker",
                "SELECT full_name FROM social.main.clients WHERE client_id = 'C05'",
                &["Siân O'Brien"],
                &[],
            ),
        ],
    },
    Decision {
        name: "a special permission over a general refusal comes to its end",
        agency: "health",
        withdraw: "UPDATE consents SET valid_to = '2026-05-31' WHERE consent_id = 7",
        give: "UPDATE consents SET valid_to = '2026-06-01' WHERE consent_id = 7",
        paths: &[
            path(
                "here",
                "social_worker",
                "SELECT name FROM health.main.patients WHERE patient_id = 105",
                &["O'Brien, Siân"],
                &[],
            ),
            path(
                "elsewhere",
                "social_worker",
                "SELECT full_name FROM social.main.clients WHERE client_id = 'C05'",
                &["Siân O'Brien"],
                &[],
            ),
        ],
    },
    Decision {
        name: "an opt-in is withdrawn",
        agency: "health",
        withdraw: "UPDATE consents SET status = 'withdrawn' WHERE consent_id = 19",
        give: "UPDATE consents SET status = 'granted' WHERE consent_id = 19",
        paths: &[
            path(
                "a scan",
                "researcher",
                "SELECT patient_id FROM health.main.patients WHERE patient_id < 116 ORDER BY 1",
                &["104", "115"],
                &["104"],
            ),
            path(
                "a lookup",
                "researcher",
                "SELECT patient_id FROM health.main.patients WHERE nhs_number = '9150000152'",
                &["115"],
                &[],
            ),
            path(
                "elsewhere",
                "researcher",
                "SELECT assessment_id FROM social.main.assessments WHERE nhs_number = '9150000152' ORDER BY 1",
                &["9", "10"],
                &[],
            ),
            path("a count", "researcher", "SELECT count(*) FROM health.main.encounters", &["7"], &["5"]),
            path(
                "a join",
                "researcher",
                "SELECT a.assessment_id FROM health.main.patients p JOIN social.main.assessments a \
                 ON a.nhs_number = p.nhs_number WHERE p.patient_id IN (115, 116) ORDER BY 1",
                &["9", "10", "11"],
                &["11"],
            ),
        ],
    },
    Decision {
        name: "an opt-in by standing in a list",
        agency: "housing",
        withdraw: "DELETE FROM study_members WHERE nhs_no = '915-000-0152'",
        give: "INSERT INTO study_members VALUES ('9150000152', NULL)",
        paths: &[
            path(
                "here",
                "housing_researcher",
                "SELECT tenant_id FROM housing.main.tenants WHERE nhs_no = '9150000152'",
                &["9"],
                &[],
            ),
            path(
                "elsewhere",
                "housing_researcher",
                "SELECT patient_id FROM health.main.patients WHERE patient_id > 110 ORDER BY 1",
                &["115", "132"],
                &["132"],
            ),
            path(
                "a lookup elsewhere",
                "housing_researcher",
                "SELECT patient_id FROM health.main.patients WHERE nhs_number = '9150000152'",
                &["115"],
                &[],
            ),
        ],
    },
    Decision {
        name: "a dissent in another agency's register",
        agency: "police",
        withdraw: "INSERT INTO dissents VALUES ('911-000-0119')",
        give: "DELETE FROM dissents WHERE nhs_number = '911-000-0119'",
        paths: &[
            path("a scan", "coordinator", "SELECT patient_id FROM health.main.patients WHERE name = ''", &["111"], &[]),
            path(
                "a lookup",
                "coordinator",
                "SELECT patient_id FROM health.main.patients WHERE nhs_number = '9110000119'",
                &["111"],
                &[],
            ),
            path(
                "two registers elsewhere",
                "coordinator",
                "SELECT client_id FROM social.main.clients ORDER BY 1",
                &["C11", "C35"],
                &["C35"],
            ),
            path(
                "a join",
                "coordinator",
                "SELECT c.client_id FROM health.main.patients p JOIN social.main.clients c ON c.nhs_number = p.nhs_number",
                &["C11"],
                &[],
            ),
            path("a count", "coordinator", "SELECT count(*) FROM social.main.clients", &["2"], &["1"]),
            path(
                "the unified view",
                "coordinator",
                "SELECT nhs_number FROM unified.clients WHERE nhs_number = '9110000119'",
                &["9110000119"],
                &[],
            ),
        ],
    },
    Decision {
        name: "a dissent where the register is the table's own agency's",
        agency: "police",
        withdraw: "INSERT INTO dissents VALUES ('903-000-0031')",
        give: "DELETE FROM dissents WHERE nhs_number = '903-000-0031'",
        paths: &[
            path(
                "a scan",
                "officer",
                "SELECT person_id FROM police.main.persons WHERE name LIKE 'SMITH%' ORDER BY 1",
                &["2", "3"],
                &["2"],
            ),
            path(
                "mixed forms",
                "officer",
                "SELECT incident_id FROM police.main.incidents WHERE severity = 5",
                &["4"],
                &[],
            ),
            path(
                "elsewhere",
                "officer",
                "SELECT client_id FROM social.main.clients WHERE full_name = 'Cara Smith'",
                &["C03"],
                &[],
            ),
        ],
    },
    Decision {
        name: "a refusal of figures about groups",
        agency: "health",
        withdraw: "INSERT INTO consents VALUES (803, '914 000 0141', 'planning', 'TCOM', 'refused', '2026-01-01', NULL)",
        give: "UPDATE consents SET status = 'granted' WHERE consent_id = 803",
        paths: &[path(
            "a sum",
            "analyst",
            "SELECT sum(weekly_cost) FROM social.main.packages WHERE kind = 'home care' GROUP BY kind",
            &["3347"],
            &["3087"],
        )],
    },
];

async fn withdrawals(backend: Backend, level: PushdownLevel) {
    let world = World::at_level(backend, level).await;
    let mut failures = Vec::new();
    for decision in DECISIONS {
        check(&world, decision, State::Given, &mut failures).await;
        world.agency_execute(decision.agency, decision.withdraw).await;
        check(&world, decision, State::Withdrawn, &mut failures).await;
        world.agency_execute(decision.agency, decision.give).await;
        check(&world, decision, State::Given, &mut failures).await;
    }
    assert!(failures.is_empty(), "{backend:?} {level:?}:\n{}", failures.join("\n"));
}

#[derive(Clone, Copy, Debug)]
enum State {
    Given,
    Withdrawn,
}

async fn check(world: &World, decision: &Decision, state: State, failures: &mut Vec<String>) {
    for path in decision.paths {
        let wanted = match state {
            State::Given => path.given,
            State::Withdrawn => path.withdrawn,
        };
        let rows = world.rows(&world.session(path.session), path.sql).await;
        let found = rows.map(|rows| rows.into_iter().filter_map(|row| row.into_iter().next()).collect::<Vec<_>>());
        if !found.as_ref().is_ok_and(|found| found == wanted) {
            failures.push(format!("{}, {} ({state:?}): {found:?} instead of {wanted:?}", decision.name, path.name));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_counts_from_the_next_query_on_sqlite() {
    withdrawals(Backend::Sqlite, PushdownLevel::Full).await;
    withdrawals(Backend::Sqlite, PushdownLevel::ReleasedRelations).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_counts_from_the_next_query_on_postgres() {
    withdrawals(Backend::Postgres, PushdownLevel::Full).await;
    withdrawals(Backend::Postgres, PushdownLevel::ReleasedRelations).await;
}

/// The receiver of keys asks its own register as well: keys that were sent for a person who has withdrawn bring nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_counts_at_the_receiver_of_keys() {
    for backend in Backend::ALL {
        // The giver's table asks nobody, so that only the receiver's register stands between.
        let world = World::with_policies(backend, |policies| {
            std::fs::write(policies.join("agreements/giver.toml"), GIVER).unwrap();
            std::fs::write(policies.join("agreements/receiver.toml"), RECEIVER).unwrap();
        })
        .await;
        world.agency_execute("health", MANY_PATIENTS).await;
        let session = world.session("social_worker");
        let session = wayleave::session::Session {
            role: "keyed".to_owned(),
            case_reference: Some("CASE-1".to_owned()),
            reason: Some("a test".to_owned()),
            ..session
        };
        let sql = "SELECT p.patient_id FROM social.main.clients c JOIN health.main.patients p \
                   ON p.nhs_number = c.nhs_number WHERE c.client_id = 'C15'";
        let withdraw =
            "INSERT INTO consents VALUES (800, '915 000 0152', 'direct_care', 'TASC', 'refused', '2026-06-01', NULL)";
        let give = "DELETE FROM consents WHERE consent_id = 800";
        for (change, wanted) in [(give, vec![["115"]]), (withdraw, vec![]), (give, vec![["115"]])] {
            world.agency_execute("health", change).await;
            let (rows, _, fragments) = world.answer(&session, sql).await.unwrap();
            assert_eq!(rows, wanted, "{backend:?}");
            let receiver = fragments.iter().find(|fragment| fragment.agency == "health").unwrap();
            assert_eq!(receiver.keys_from, ["social"], "{backend:?}: {}", receiver.sql);
        }
    }
}

/// Enough patients for a key to be worth sending, none of them anybody; counted again by the source.
const MANY_PATIENTS: &str = "INSERT INTO patients (patient_id, name) WITH RECURSIVE n(i) AS ( \
    SELECT 1001 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i, 'nobody' FROM n; ANALYZE";

const GIVER: &str = r#"
[agreement]
id = "TEST-GIVER"
title = "Gives its keys"
owner = "dpo@torbay.example"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31

[basis]
purpose = "joint-needs-assessment"
article_6 = "e"
article_9 = "h"

[[recipient]]
organisation = "torbay-asc"
roles = ["keyed"]

[consent]
mode = "not-required"

[require]
case_reference = true
reason = true

[[share]]
table = "social.main.clients"
columns = ["client_id", "nhs_number"]
disclose_keys_to = ["health"]
"#;

const RECEIVER: &str = r#"
[agreement]
id = "TEST-RECEIVER"
title = "Takes keys and asks its own register"
owner = "dpo@torbay.example"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31

[basis]
purpose = "joint-needs-assessment"
article_6 = "e"
article_9 = "h"

[[recipient]]
organisation = "torbay-asc"
roles = ["keyed"]

[consent]
mode = "opt-out"
registers = ["shared-care"]
no_information = "permit"

[[share]]
table = "health.main.patients"
columns = ["patient_id", "nhs_number"]
"#;
