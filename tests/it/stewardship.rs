//! What data protection officers are told is what queries do: explanations against real answers, on both backends.

use std::collections::BTreeSet;

use wayleave::engine::AskedAbout;
use wayleave::names::QualifiedTable;
use wayleave::stewardship::{Inspection, PolicyExplanation, Severity, inspect};
use wayleave_connector_api::Scheme;

use crate::harness::{Backend, World};

/// A table, and the column of its subject key.
type Asked<'a> = (&'a str, &'a str, &'a str);

const ASKED: [Asked<'static>; 7] = [
    ("social_worker", "health.main.patients", "nhs_number"),
    // The register stands at another agency.
    ("social_worker", "social.main.clients", "nhs_number"),
    ("social_worker", "housing.main.tenants", "nhs_no"),
    ("researcher", "health.main.patients", "nhs_number"),
    ("researcher", "social.main.assessments", "nhs_number"),
    ("officer", "social.main.clients", "nhs_number"),
    ("safeguarding_lead", "police.main.persons", "nhs_number"),
];

async fn explain(
    world: &World,
    session: &str,
    table: &str,
    column: Option<&str>,
    key: Option<&str>,
) -> PolicyExplanation {
    let session = world.session(session);
    let table = QualifiedTable::parse(table).unwrap();
    let person = key.map(|key| AskedAbout { scheme: Scheme::NhsNumber, key: key.to_owned() });
    let examination = world.engine.examine(&session, &table, person.as_ref()).await.unwrap();
    PolicyExplanation::of(&session, &table, column, &examination)
}

#[tokio::test]
async fn a_person_is_visible_in_the_explanation_just_where_a_query_shows_the_person() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let mut everybody = BTreeSet::new();
        let mut shown = Vec::new();
        for (session, table, key) in ASKED {
            let sql = format!("SELECT DISTINCT {key} FROM {table} WHERE {key} IS NOT NULL");
            // Not every session of the list is released every table.
            let rows = world.rows(&world.session(session), &sql).await.unwrap_or_default();
            let keys: BTreeSet<String> = rows.into_iter().flatten().collect();
            everybody.extend(keys.iter().cloned());
            shown.push(keys);
        }
        assert!(everybody.len() > 20, "{everybody:?}");
        let (mut visible, mut hidden) = (0, 0);
        for ((session, table, _), keys) in ASKED.into_iter().zip(&shown) {
            for person in &everybody {
                let explanation = explain(&world, session, table, None, Some(person)).await;
                let expected = keys.contains(person);
                assert_eq!(explanation.visible, expected, "{backend:?} {session} {table} {person}: {explanation:#?}");
                if expected { visible += 1 } else { hidden += 1 }
            }
        }
        assert!(visible > 40 && hidden > 20, "{visible} visible, {hidden} hidden");
    }
}

#[tokio::test]
async fn the_register_tells_which_entry_decides() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        // A special refusal outranks a general permission.
        let explanation = explain(&world, "social_worker", "health.main.patients", None, Some("9040000042")).await;
        let person = explanation.person.unwrap();
        assert_eq!(person.registers[0].entries.len(), 2, "{backend:?} {person:?}");
        assert_eq!(person.registers[0].decides, "denies");
        assert!(explanation.because.contains("a refusal decides in register `shared-care`"), "{}", explanation.because);
        // An entry for another purpose is shown, and counts for nothing.
        let explanation = explain(&world, "social_worker", "health.main.patients", None, Some("9140000141")).await;
        let register = explanation.person.unwrap().registers.remove(0);
        assert_eq!((register.entries.len(), register.decides.as_str()), (1, "says nothing"), "{backend:?}");
        assert!(register.entries[0].counts.starts_with("not:"), "{backend:?}");
    }
}

#[tokio::test]
async fn what_was_asked_about_a_person_is_on_the_record() {
    let world = World::new(Backend::Sqlite).await;
    let record = || std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap_or_default();
    explain(&world, "social_worker", "health.main.patients", None, None).await;
    assert!(!record().contains("POLICY EXPLAIN"), "nobody was asked about anybody");
    explain(&world, "social_worker", "health.main.patients", None, Some("9040000042")).await;
    let text = record();
    assert!(text.contains("POLICY EXPLAIN health.main.patients") && text.contains("904 000 0042"), "{text}");
    assert_eq!(text.matches("\"kind\":\"intent\"").count(), 1);
    assert_eq!(text.matches("\"status\":\"completed\"").count(), 1);
    // A refusal asks no agency, and is recorded as a refusal.
    explain(&world, "outsider", "health.main.patients", None, Some("9040000042")).await;
    assert_eq!(record().matches("\"kind\":\"refusal\"").count(), 1);
    wayleave::audit::verify(&world.audit_directory()).unwrap();
}

#[tokio::test]
async fn every_refusal_names_the_rule_that_fails() {
    let world = World::new(Backend::Sqlite).await;
    let failing = |explanation: &PolicyExplanation, agreement: &str| -> Vec<String> {
        let examined = explanation.agreements.iter().find(|examined| examined.id == agreement).unwrap();
        examined.rules.iter().filter(|rule| !rule.holds).map(|rule| rule.rule.clone()).collect()
    };
    let cases = [("wrong_role", "names the organisation and role"), ("wrong_purpose", "is made for the purpose")];
    for (session, rule) in cases {
        let explanation = explain(&world, session, "health.main.patients", None, None).await;
        assert!(!explanation.visible);
        assert_eq!(failing(&explanation, "TEST-JNA"), [rule], "{session}");
    }
    let explanation = explain(&world, "safeguarding_no_reason", "health.main.patients", None, None).await;
    assert_eq!(failing(&explanation, "TEST-SAFE"), ["has its reason"]);
    let explanation = explain(&world, "social_worker", "health.main.patients", Some("patient_id"), None).await;
    assert!(explanation.visible);
    let explanation = explain(&world, "social_worker", "health.main.patients", Some("deceased"), None).await;
    assert!(!explanation.visible && explanation.because.contains("does not name the column"), "{explanation:?}");
    let explanation = explain(&world, "social_worker", "health.main.no_such_table", None, None).await;
    assert!(explanation.agreements.is_empty());
    assert_eq!(explanation.because, "no agreement shares the table with anybody");
}

#[tokio::test]
async fn a_person_without_a_valid_key_is_not_asked_about() {
    let world = World::new(Backend::Sqlite).await;
    let table = QualifiedTable::parse("health.main.patients").unwrap();
    let person = AskedAbout { scheme: Scheme::Opaque, key: "9040000042".to_owned() };
    let error = world.engine.examine(&world.session("social_worker"), &table, Some(&person)).await.unwrap_err();
    assert_eq!(error.code(), "subject-unknown");
    let person = AskedAbout { scheme: Scheme::NhsNumber, key: "9040000043' OR 1=1".to_owned() };
    assert!(world.engine.examine(&world.session("social_worker"), &table, Some(&person)).await.is_err());
}

/// What an inspection says at one severity, as `about: said`.
fn said(inspection: &Inspection, severity: Severity) -> Vec<String> {
    let findings = inspection.findings.iter().filter(|finding| finding.severity == severity);
    findings.map(|finding| format!("{}: {}", finding.about, finding.said)).collect()
}

#[tokio::test]
async fn an_inspection_of_what_fits_finds_no_error_and_names_what_runs_out() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let inspection = inspect(&world.engine).await;
        assert_eq!(said(&inspection, Severity::Error), [""; 0], "{backend:?}");
        let warnings = said(&inspection, Severity::Warning);
        for wanted in ["it ended on", "its review was due by", "in 0 days"] {
            assert!(warnings.iter().any(|warning| warning.contains(wanted)), "{backend:?} {wanted}: {warnings:?}");
        }
        let notes = said(&inspection, Severity::Note);
        for wanted in ["keys of `health.main.patients` may be sent to", "a draft", "no share names its columns"] {
            assert!(notes.iter().any(|note| note.contains(wanted)), "{backend:?} {wanted}: {notes:?}");
        }
    }
}

#[tokio::test]
async fn an_inspection_finds_what_changed_at_the_agencies() {
    let world = World::new(Backend::Sqlite).await;
    world.agency_execute("health", "ALTER TABLE patients RENAME COLUMN gp_practice TO gp_practise").await;
    world.agency_execute("health", "ALTER TABLE consents RENAME COLUMN status TO state").await;
    world.agency_execute("social", "DROP TABLE packages; CREATE TABLE letters (id INTEGER)").await;
    let inspection = inspect(&world.reopen().await.unwrap()).await;
    let errors = said(&inspection, Severity::Error);
    for wanted in [
        "agreement TEST-JNA: `health.main.patients` has no column `gp_practice`",
        "register shared-care: `health.main.consents` has no column `status`",
        "agreement TEST-JNA: `social.main.packages` does not exist at the agency",
    ] {
        assert!(errors.iter().any(|error| error == wanted), "{wanted}: {errors:#?}");
    }
    let renamed = inspection.findings.iter().find(|finding| finding.said.ends_with("no column `gp_practice`")).unwrap();
    assert_eq!(renamed.hint.as_deref(), Some("did you mean `gp_practise`?"));
    let notes = said(&inspection, Severity::Note);
    assert!(
        notes.iter().any(|note| note.starts_with("agency social: ") && note.contains("main.letters")),
        "{notes:#?}"
    );
    assert!(
        notes.iter().any(|note| note.contains("health.main.patients") && note.contains("gp_practise")),
        "{notes:#?}"
    );
}

#[tokio::test]
async fn an_inspection_goes_on_past_a_dead_agency() {
    let world = World::with_policies(Backend::Sqlite, |policies| {
        let config = policies.with_file_name("wayleave.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("path = \"health.db\"", "path = \"gone.db\"")).unwrap();
    })
    .await;
    let inspection = inspect(&world.engine).await;
    let errors = said(&inspection, Severity::Error);
    assert!(errors.iter().any(|error| error.starts_with("agency health: it cannot be reached")), "{errors:#?}");
    assert!(errors.iter().any(|error| error.starts_with("register shared-care: its agency")), "{errors:#?}");
    assert!(!said(&inspection, Severity::Note).is_empty());
}

#[tokio::test]
async fn an_inspection_finds_emergencies_of_which_nobody_could_be_told() {
    let world = World::with_policies(Backend::Sqlite, |policies| {
        let file = policies.parent().unwrap().join("wayleave.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace("[alerts]\ndirectory = \"alerts\"\n", "");
        std::fs::write(&file, text).unwrap();
    })
    .await;
    let warnings = said(&inspect(&world.engine).await, Severity::Warning);
    assert!(warnings.iter().any(|warning| warning.contains("TEST-CARE: its glass cannot be broken")), "{warnings:?}");
    let fitting = said(&inspect(&World::new(Backend::Sqlite).await.engine).await, Severity::Warning);
    assert!(!fitting.iter().any(|warning| warning.contains("its glass")), "{fitting:?}");
}

#[tokio::test]
async fn an_inspection_looks_for_every_column_that_a_register_names() {
    let world = World::new(Backend::Sqlite).await;
    for column in ["data_class", "given_by", "born", "records_from", "records_until"] {
        let sql = format!("ALTER TABLE care_decisions RENAME COLUMN {column} TO was_{column}");
        world.agency_execute("health", &sql).await;
    }
    let errors = said(&inspect(&world.reopen().await.unwrap()).await, Severity::Error);
    for column in ["data_class", "given_by", "born", "records_from", "records_until"] {
        let wanted = format!("register care-decisions: `health.main.care_decisions` has no column `{column}`");
        assert!(errors.contains(&wanted), "{wanted}: {errors:#?}");
    }
}
