//! What another policy set would do to recent queries: asked again under both, counted, and on the record.

use wayleave::audit::{AskedQuery, recent_queries};
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::policy::Clock;
use wayleave::policy::files::PolicySet;
use wayleave::stewardship::render::Document;
use wayleave::stewardship::{Extent, REPLAYED, Replay, ReplayEffect, Replayed, replay};

use crate::harness::{Backend, World, today};

const ASKED: [(&str, &str); 6] = [
    ("social_worker", "SELECT client_id, full_name FROM social.main.clients"),
    ("social_worker", "SELECT client_id FROM social.main.clients"),
    ("social_worker", "SELECT patient_id, postcode FROM health.main.patients"),
    ("social_worker", "SELECT package_id FROM social.main.packages"),
    ("analyst", "SELECT gp_practice, count(*) AS n FROM health.main.patients GROUP BY gp_practice"),
    // In the same words, for the same purpose.
    ("social_worker", "SELECT client_id FROM social.main.clients"),
];

/// Asks of a world, and again under its policies as `edit` leaves the agreement of the social worker.
async fn what_if(world: &World, most: usize, edit: impl Fn(&str) -> String) -> Replay {
    let config = Config::load(&world.directory().join("wayleave.toml")).unwrap();
    let mut files = PolicySet::read_files(&config.policies).unwrap();
    let before = PolicySet::parse(&config.policies, &files).unwrap();
    let agreement = files.get_mut(std::path::Path::new("agreements/joint-needs.toml")).unwrap();
    *agreement = edit(agreement);
    let after = PolicySet::parse(&config.policies, &files).unwrap_or_else(|found| panic!("{found}"));
    let asked = recent(world, most);
    let open = async |set| Engine::with_policies(config.clone(), set, Clock::Fixed(today())).await.unwrap();
    let (before, after) = (open(before).await, open(after).await);
    let replayed = replay(&before, &after, &asked).await.unwrap();
    before.flush_audit().await.unwrap();
    after.flush_audit().await.unwrap();
    replayed
}

fn recent(world: &World, most: usize) -> Vec<AskedQuery> {
    recent_queries(&world.audit_directory(), most, |query| !query.user.starts_with(REPLAYED)).unwrap()
}

fn effect(replay: &Replay, sql: &str) -> ReplayEffect {
    replay.queries.iter().find(|query| query.sql == sql).unwrap().effect
}

#[tokio::test]
async fn recent_queries_are_asked_again_under_both_sets() {
    let world = World::new(Backend::Sqlite).await;
    assert!(recent(&world, 10).is_empty());
    for (session, sql) in ASKED {
        world.rows(&world.session(session), sql).await.unwrap();
    }
    world.engine.flush_audit().await.unwrap();
    let asked = recent(&world, 10);
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert_eq!((asked[0].sql.as_str(), asked[1].role.as_str()), (ASKED[5].1, "analyst"));
    assert_eq!(recent(&world, 2).len(), 2);

    let edited = |text: &str| {
        let text =
            text.replace("\"full_name\", ", "").replace("mask.postcode = \"outward\"", "mask.postcode = \"null\"");
        let text = text.replace("rows = \"deceased = false\"", "rows = \"deceased = false AND sex = 'F'\"");
        text.replace("[[share]]\ntable = \"social.main.packages\"", "#")
            .replace("columns = [\"package_id\", \"nhs_number\", \"kind\", \"weekly_cost\", \"started_on\"]", "")
    };
    let replayed = what_if(&world, 10, edited).await;
    assert_eq!(effect(&replayed, ASKED[0].1), ReplayEffect::Fails);
    assert_eq!(effect(&replayed, ASKED[1].1), ReplayEffect::Same);
    assert_eq!(effect(&replayed, ASKED[2].1), ReplayEffect::FewerRows);
    assert_eq!(effect(&replayed, ASKED[3].1), ReplayEffect::Fails);
    assert_eq!(effect(&replayed, ASKED[4].1), ReplayEffect::Same);
    assert_eq!(replayed.queries[0].effect, ReplayEffect::Fails, "what fails comes first");
    let refusals: Vec<&str> = replayed
        .queries
        .iter()
        .filter_map(|query| match &query.after {
            Replayed::Refused { code, .. } => Some(code.as_str()),
            Replayed::Rows(_) => None,
        })
        .collect();
    assert_eq!(refusals.len(), 2);
    assert!(refusals.contains(&"column-not-released") && refusals.contains(&"table-not-released"), "{refusals:?}");

    // The same as the agency's own count, consent among it.
    let session = world.session("social_worker");
    let counting = "SELECT count(*), count(DISTINCT nhs_number) FROM social.main.packages";
    let rows = world.rows(&session, counting).await.unwrap();
    let counted: Vec<Option<u64>> = rows[0].iter().map(|count| count.parse().ok()).collect();
    let table = |name: &str| replayed.tables.iter().find(|table| table.table == name);
    let packages = table("social.main.packages").unwrap();
    assert_eq!(packages.before, Extent { rows: counted[0], persons: counted[1] });
    assert_eq!(packages.after, Extent { rows: Some(0), persons: Some(0) });
    let patients = table("health.main.patients").unwrap();
    assert!(patients.after.rows < patients.before.rows && patients.after.persons < patients.before.persons);
    assert!(patients.after.persons > Some(0));
    assert!(table("social.main.clients").is_none(), "as many as before");

    // The replays are on the record under a name of their own, and are not replayed again.
    let all = recent_queries(&world.audit_directory(), 100, |_| true).unwrap();
    assert!(all.iter().any(|query| query.user == format!("{REPLAYED}sam")), "{all:?}");
    assert_eq!(recent(&world, 10).len(), 6, "and the count that this test has asked for");
    let mut document = Document::new("x");
    replayed.add_to(&mut document);
    let text = wayleave::stewardship::render::markdown(&document);
    assert!(text.contains("Of 5 recent queries: 2 would be refused, 1 fewer rows, 2 the same."), "{text}");
}

#[tokio::test]
async fn a_wider_set_is_seen_to_release_more() {
    let world = World::new(Backend::Sqlite).await;
    for sql in [ASKED[2].1, "SELECT encounter_id FROM health.main.encounters"] {
        world.rows(&world.session("social_worker"), sql).await.unwrap();
    }
    world.engine.flush_audit().await.unwrap();
    let unmasked = what_if(&world, 10, |text| text.replace("mask.postcode = \"outward\"", "")).await;
    assert_eq!(effect(&unmasked, ASKED[2].1), ReplayEffect::OtherValues);
    assert!(unmasked.tables.is_empty());
    let wider = what_if(&world, 10, |text| text.replace("rows = \"sensitive = false\"", "")).await;
    assert_eq!(effect(&wider, "SELECT encounter_id FROM health.main.encounters"), ReplayEffect::MoreRows);
    assert_eq!(wider.tables.len(), 1);
    assert!(wider.tables[0].after.rows > wider.tables[0].before.rows);
}
