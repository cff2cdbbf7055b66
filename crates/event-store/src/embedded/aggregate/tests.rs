use super::*;
use crate::StoreError;
use crate::embedded::disk::HostDisk;
use crate::embedded::row::Row;
use crate::embedded::sample::{instant, plain_row, row_of_page, rows, split};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use tallystick_domain::meter::{Aggregation, Filter, JsonPath, LikePattern, PlanError, fold};
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tempfile::TempDir;

static MEMORY: LazyLock<Arc<MemoryPool>> = LazyLock::new(|| Arc::new(MemoryPool::new(1 << 30)));
static BOOKS: LazyLock<Books> = LazyLock::new(|| Books::new(1 << 20));
static NO_CACHE: LazyLock<PartialCache> = LazyLock::new(|| PartialCache::new(0));
static NO_LIMITS: LazyLock<Limits<'static>> = LazyLock::new(|| Limits {
    progress: None,
    max_groups: 1_000_000,
    max_distinct: 1_000_000,
    threads: 1,
    rows_per_thread: 1,
    memory: &MEMORY,
    columns: &MEMORY,
    cache: &NO_CACHE,
    books: &BOOKS,
    mask: None,
});

fn plan(aggregation: Aggregation, value: &str) -> AggregatePlan {
    AggregatePlan {
        namespace: Namespace::default_namespace(),
        event_type: "t".into(),
        from: None,
        to: None,
        aggregation,
        value: (aggregation != Aggregation::Count).then(|| JsonPath::parse(value).unwrap()),
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until: None,
    }
}

fn reference(rows: &[Row], plan: &AggregatePlan) -> Result<Vec<AggregateRow>, PlanError> {
    fold(plan, rows.iter().filter(|row| row.namespace == plan.namespace).map(|row| &row.stored))
}

fn plan_error(outcome: Result<Vec<AggregateRow>, QueryError>) -> Result<Vec<AggregateRow>, PlanError> {
    outcome.map_err(|error| match error {
        QueryError::Plan(error) => error,
        QueryError::Store(error) => panic!("{error}"),
    })
}

fn path() -> impl Strategy<Value = JsonPath> {
    let paths = [
        "$.v", "$.v", "$.v", "$.m", "$.n.x", "$.n.m", "$.n", "$['a-b']", "$.l", "$.l[0]", "$.l[*].k", "$", "$.none",
        "$.v.k", "$.n.x.k", "$[0]",
    ];
    prop::sample::select(paths.to_vec()).prop_map(|path| JsonPath::parse(path).unwrap())
}

fn dimension() -> impl Strategy<Value = Dimension> {
    prop_oneof![
        Just(Dimension::Subject),
        Just(Dimension::Customer),
        path().prop_map(Dimension::Property),
        path().prop_map(Dimension::Property),
        (path(), any::<bool>()).prop_map(|(path, numeric)| Dimension::NotCounted { path, numeric }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let texts = || prop::sample::select(vec!["a", "b", "c", "x", "y", "1.5", "10", "", "null", "k1"]);
    let set = prop::collection::btree_set(texts().prop_map(String::from), 0..4);
    let leaf = prop_oneof![
        4 => texts().prop_map(|text| Filter::Eq(text.into())),
        1 => texts().prop_map(|text| Filter::Ne(text.into())),
        2 => set.clone().prop_map(Filter::In),
        1 => set.prop_map(Filter::NotIn),
        1 => texts().prop_map(|text| Filter::Contains(text.into())),
        1 => texts().prop_map(|text| Filter::Lt(text.into())),
        1 => Just(Filter::Like(LikePattern::new("1%", true))),
    ];
    leaf.prop_recursive(2, 5, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Filter::All),
            prop::collection::vec(inner, 1..3).prop_map(Filter::Any),
        ]
    })
}

fn windows() -> impl Strategy<Value = Windows> {
    let zones = [
        "UTC",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Pacific/Kiritimati",
    ];
    let calendar = (prop::sample::select(WindowSize::ALL.to_vec()), prop::sample::select(zones.to_vec()))
        .prop_map(|(size, zone)| Windows::new(size, Zone::parse(zone).unwrap()));
    prop_oneof![3 => calendar, 2 => prop::collection::vec(instant(), 0..10).prop_map(Windows::between)]
}

fn any_plan() -> impl Strategy<Value = AggregatePlan> {
    let customers = prop::collection::btree_map(
        prop::sample::select(vec!["a", "b", "ä", "zz"]).prop_map(String::from),
        prop::sample::select(vec!["k1", "k2"]).prop_map(String::from),
        0..4,
    );
    (
        prop::sample::select(Aggregation::ALL.to_vec()),
        prop::option::weighted(0.95, path()),
        prop::option::weighted(0.3, instant()),
        prop::option::weighted(0.3, instant()),
        prop::collection::vec(dimension(), 0..3),
        prop::collection::vec((dimension(), filter()), 0..2),
        prop::option::weighted(0.2, customers),
        (prop::option::of(windows()), prop::option::weighted(0.2, instant())),
    )
        .prop_map(|(aggregation, value, from, to, dimensions, filters, customers, (windows, known_until))| {
            AggregatePlan {
                value,
                from,
                to,
                dimensions,
                filters,
                customers: customers.map(Arc::new),
                windows,
                known_until,
                ..plan(aggregation, "$.v")
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_answer_is_that_of_the_reference(
        rows in rows(120),
        places in prop::collection::vec(0usize..6, 120),
        plans in prop::collection::vec(any_plan(), 8),
    ) {
        let dir = TempDir::new().unwrap();
        let view = split(dir.path(), &rows, &places);
        let cache = PartialCache::eager(1 << 20);
        let eager = Limits { threads: 3, cache: &cache, ..*NO_LIMITS };
        for plan in plans {
            let want = reference(&rows, &plan);
            prop_assert_eq!(&plan_error(aggregate(&view, &plan, &NO_LIMITS)), &want, "{:?}", plan);
            for _ in 0..2 {
                prop_assert_eq!(&plan_error(aggregate(&view, &plan, &eager)), &want, "{:?}, kept, on threads", plan);
            }
        }
    }
}

/// Rows over several blocks: more subjects, models and hours than fit one direct table.
fn many() -> Vec<Row> {
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let row = |number: usize| {
        let time = start.saturating_add_micros((number * 7919 % 5003) as i64 * 613_000_000);
        let long = "long".repeat(if number.is_multiple_of(4) { 20 } else { 0 });
        let data = format!(
            r#"{{"tokens":{}.{:03},"model":"m{}","user":"u{}","text":"{long}"}}"#,
            number * 31 % 1000,
            number % 1000,
            number % 7,
            number * 17 % 900,
        );
        plain_row(number, &format!("subject-{:03}", number * 13 % 101), time, &data)
    };
    (0..8000).map(row).collect()
}

#[test]
fn many_blocks_and_groups_give_the_answer_of_the_reference() {
    let dir = TempDir::new().unwrap();
    let rows = many();
    let places: Vec<usize> = (0..rows.len()).map(|number| number % 5).collect();
    let view = split(dir.path(), &rows, &places);
    let property = |path: &str| Dimension::Property(JsonPath::parse(path).unwrap());
    let cache = PartialCache::eager(64 << 20);
    let mut plans = Vec::new();
    for aggregation in Aggregation::ALL {
        let base = plan(aggregation, if aggregation == Aggregation::UniqueCount { "$.user" } else { "$.tokens" });
        plans.push(AggregatePlan { dimensions: vec![property("$.model")], ..base.clone() });
        plans.push(AggregatePlan { dimensions: vec![Dimension::Subject, property("$.user")], ..base.clone() });
        plans.push(AggregatePlan { dimensions: vec![property("$.text")], ..base.clone() });
        let windows = Some(Windows::new(WindowSize::Hour, Zone::parse("America/Los_Angeles").unwrap()));
        plans.push(AggregatePlan { dimensions: vec![Dimension::Subject], windows, ..base.clone() });
        let cuts = (0..40).map(|number| rows[0].stored.event.time().saturating_add_micros(number * 76_543_210_987));
        plans.push(AggregatePlan { windows: Some(Windows::between(cuts)), ..base });
    }
    for plan in &plans {
        let answer = aggregate(&view, plan, &NO_LIMITS).unwrap();
        assert_eq!(answer, reference(&rows, plan).unwrap(), "{plan:?}");
        assert!(answer.len() > 1, "{plan:?}");
        for threads in [1, 4] {
            let limits = Limits { threads, cache: &cache, ..*NO_LIMITS };
            assert_eq!(aggregate(&view, plan, &limits).unwrap(), answer, "{threads} threads, {plan:?}");
        }
    }
    assert!(cache.figures().1 > plans.len() as u64, "{:?}", cache.figures());
}

/// Rows in which hundreds of subjects and users come again and again, others of them in each place.
fn shared_texts() -> (Vec<Row>, Vec<usize>) {
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let row = |number: usize| {
        let place = number / 3000;
        let user = match number % 50 {
            0 if place == 2 => "7".into(),
            1 if place == 2 => "\"7.0\"".into(),
            _ => format!("\"u{}\"", number * 7 % 900 + place * 300),
        };
        let data = format!(r#"{{"tokens":{}.{:02},"user":{user}}}"#, number % 90, number % 100);
        let time = start.saturating_add_micros((number * 7919 % 5003) as i64 * 613_000_000);
        plain_row(number, &format!("s{}", number * 13 % 400 + place * 100), time, &data)
    };
    let rows: Vec<Row> = (0..12_000).map(row).collect();
    let places = (0..rows.len()).map(|number| number / 3000).collect();
    (rows, places)
}

#[test]
fn codes_from_books_give_the_answer_of_the_reference() {
    let (rows, places) = shared_texts();
    check_with_books(&rows, &places);
}

#[test]
fn codes_from_books_serve_rows_in_memory_too() {
    let (rows, _) = shared_texts();
    let places: Vec<usize> = (0..rows.len()).map(|number| [0, 1, 4][number % 3]).collect();
    check_with_books(&rows, &places);
}

fn check_with_books(rows: &[Row], places: &[usize]) {
    let dir = TempDir::new().unwrap();
    let view = split(dir.path(), rows, places);
    let user = || Dimension::Property(JsonPath::parse("$.user").unwrap());
    let users = plan(Aggregation::UniqueCount, "$.user");
    let sum = plan(Aggregation::Sum, "$.tokens");
    let few = vec![(Dimension::Subject, Filter::In(["s5", "s150", "s399"].map(String::from).into()))];
    let days = Some(Windows::new(WindowSize::Day, Zone::UTC));
    let plans = [
        AggregatePlan { filters: few, ..users.clone() },
        users.clone(),
        AggregatePlan { dimensions: vec![Dimension::Subject], ..users.clone() },
        AggregatePlan { windows: days.clone(), ..users },
        AggregatePlan { dimensions: vec![Dimension::Subject], ..sum.clone() },
        AggregatePlan { dimensions: vec![Dimension::Subject, user()], ..sum.clone() },
        AggregatePlan { dimensions: vec![user()], windows: days, ..plan(Aggregation::Min, "$.tokens") },
        AggregatePlan { dimensions: vec![Dimension::Subject], ..plan(Aggregation::Count, "$") },
    ];
    // Without books, with room for them, and with room for only some.
    for limit in [0, 1 << 20, 60_000] {
        let (books, cache) = (Books::new(limit), PartialCache::eager(8 << 20));
        for threads in [1, 3] {
            for cache in [&*NO_CACHE, &cache, &cache] {
                for plan in &plans {
                    let limits = Limits { threads, cache, books: &books, ..*NO_LIMITS };
                    let answer = aggregate(&view, plan, &limits).unwrap();
                    assert_eq!(answer, reference(rows, plan).unwrap(), "{limit}, {threads} threads, {plan:?}");
                }
                assert!(books.bytes() <= limit as u64 && (books.bytes() > 0 || limit == 0), "{}", books.bytes());
            }
        }
    }
}

/// Rows over several blocks whose models and values are of all kinds, and whose numbers are of all widths and scales.
fn mixed_kinds() -> Vec<Row> {
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let row = |number: usize| {
        let subject = number * 13 % 40;
        let model = match number * 11 % 9 {
            0 => "",
            1 => r#""model":null,"#,
            2 => r#""model":true,"#,
            3 if subject < 20 => r#""model":7,"#,
            4 => r#""model":"7","#,
            _ => r#""model":"m","#,
        };
        // Numbers of one width and scale for each block or two, then of several, then strings among them.
        let tokens = match subject {
            0..=9 => format!("{}", number % 100),
            10..=19 => format!("-{}.{:04}", number % 7000, number % 10_000),
            20..=24 => format!("9{:018}", number),
            25..=29 => format!("-92233720368{:08}", number),
            30..=34 => ["0.5", "12345678901234567890123", "3", "-7e3"][number % 4].into(),
            _ => ["1", "\"2.5\"", "\"x\"", "null", "[1]"][number % 5].into(),
        };
        let time = start.saturating_add_micros((number * 7919 % 5003) as i64 * 613_000_000);
        plain_row(number, &format!("s{subject:02}"), time, &format!(r#"{{{model}"tokens":{tokens}}}"#))
    };
    (0..9000).map(row).collect()
}

#[test]
fn blocks_of_all_kinds_and_widths_give_the_answer_of_the_reference() {
    let dir = TempDir::new().unwrap();
    let rows = mixed_kinds();
    let places: Vec<usize> = (0..rows.len()).map(|number| [0, 0, 1, 4][number % 4]).collect();
    let view = split(dir.path(), &rows, &places);
    let model = Dimension::Property(JsonPath::parse("$.model").unwrap());
    let days = Some(Windows::new(WindowSize::Day, Zone::parse("Europe/Budapest").unwrap()));
    let months = Some(Windows::new(WindowSize::Month, Zone::UTC));
    let (from, to) = (rows[17].stored.event.time(), rows[18].stored.event.time());
    for aggregation in Aggregation::ALL {
        let base = plan(aggregation, "$.tokens");
        for (dimensions, windows) in [
            (vec![model.clone()], days.clone()),
            (vec![], days.clone()),
            (vec![Dimension::Subject], months.clone()),
            (vec![Dimension::Subject, model.clone()], None),
            (vec![], None),
        ] {
            let all = AggregatePlan { dimensions, windows, ..base.clone() };
            let some = AggregatePlan { from: Some(from.min(to)), to: Some(from.max(to)), ..all.clone() };
            let passing = vec![(model.clone(), Filter::Ne("m".into()))];
            for plan in [&all, &some, &AggregatePlan { filters: passing, ..all.clone() }] {
                let answer = plan_error(aggregate(&view, plan, &NO_LIMITS));
                assert_eq!(answer, reference(&rows, plan), "{plan:?}");
                assert!(answer.is_ok_and(|rows| !rows.is_empty()), "{plan:?}");
            }
        }
    }
}

#[test]
fn rows_in_memory_are_found_by_their_subject() {
    let dir = TempDir::new().unwrap();
    let (rows, _) = shared_texts();
    // The first place is a segment, and the others are chunks.
    let places: Vec<usize> = (0..rows.len()).map(|number| if number % 10 == 0 { 0 } else { 4 + number % 2 }).collect();
    let view = split(dir.path(), &rows, &places);
    assert_eq!(view.chunks.len(), 2);
    let subjects = |texts: &[&str]| Filter::In(texts.iter().map(|text| (*text).to_string()).collect());
    let owners = ["s7", "s8"].map(|subject| (subject.to_string(), "k".to_string()));
    let filters = [
        vec![(Dimension::Subject, Filter::Eq("s150".into()))],
        vec![(Dimension::Subject, subjects(&["s5", "s150", "s399", "nobody"]))],
        vec![(Dimension::Subject, subjects(&["s5", "s6"])), (Dimension::Subject, Filter::Eq("s6".into()))],
        vec![(Dimension::Subject, Filter::All(vec![Filter::Ne("s5".into()), subjects(&["s5", "s6"])]))],
        vec![(Dimension::Subject, Filter::Eq("nobody".into()))],
        vec![],
    ];
    for aggregation in Aggregation::ALL {
        let base = plan(aggregation, if aggregation == Aggregation::UniqueCount { "$.user" } else { "$.tokens" });
        // Before the columns of the chunks are known, and afterwards.
        for _ in 0..2 {
            for filters in &filters {
                let customers = filters.is_empty().then(|| Arc::new(BTreeMap::from(owners.clone())));
                let plan = AggregatePlan { filters: filters.clone(), customers, ..base.clone() };
                let answer = aggregate(&view, &plan, &NO_LIMITS).unwrap();
                assert_eq!(answer, reference(&rows, &plan).unwrap(), "{plan:?}");
            }
            assert_eq!(aggregate(&view, &base, &NO_LIMITS).unwrap(), reference(&rows, &base).unwrap());
        }
    }
}

#[test]
fn more_paths_than_columns_are_read_from_the_data() {
    let members: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
    let data = format!("{{{}}}", members.join(","));
    let rows: Vec<Row> = (0..9).map(|number| plain_row(number, "a", Instant::MIN, &data)).collect();
    let dir = TempDir::new().unwrap();
    let view = split(dir.path(), &rows, &[0; 9]);
    for (path, sum) in [("$.k3", "27"), ("$.k99", "891")] {
        let answer = aggregate(&view, &plan(Aggregation::Sum, path), &NO_LIMITS).unwrap();
        assert_eq!(answer[0].value.to_string(), sum);
    }
}

#[test]
fn limits_end_a_query_that_grows_too_large() {
    let dir = TempDir::new().unwrap();
    let rows = many();
    let view = split(dir.path(), &rows, &vec![0; rows.len()]);
    let limits = Limits { max_groups: 101, max_distinct: 900, ..*NO_LIMITS };
    let by_subject = AggregatePlan { dimensions: vec![Dimension::Subject], ..plan(Aggregation::Count, "$") };
    assert_eq!(aggregate(&view, &by_subject, &limits).unwrap().len(), 101);
    let fewer = Limits { max_groups: 100, ..limits };
    let error = plan_error(aggregate(&view, &by_subject, &fewer)).unwrap_err();
    assert_eq!(error, PlanError::TooLarge { what: "result rows (limits.query_groups)", limit: 100 });
    let users = plan(Aggregation::UniqueCount, "$.user");
    assert_eq!(aggregate(&view, &users, &limits).unwrap()[0].value.to_string(), "900");
    let fewer = Limits { max_distinct: 899, ..limits };
    let error = plan_error(aggregate(&view, &users, &fewer)).unwrap_err();
    assert_eq!(error, PlanError::TooLarge { what: "distinct values (limits.query_distinct_values)", limit: 899 });
}

#[test]
fn a_query_ends_where_memory_does_and_gives_it_back() {
    let dir = TempDir::new().unwrap();
    let rows = many();
    let view = split(dir.path(), &rows, &vec![0; rows.len()]);
    let by_user = AggregatePlan {
        dimensions: vec![Dimension::Subject, Dimension::Property(JsonPath::parse("$.user").unwrap())],
        ..plan(Aggregation::Sum, "$.tokens")
    };
    for threads in [1, 2] {
        let pool = Arc::new(MemoryPool::new(100 << 10));
        let limits = Limits { memory: &pool, threads, ..*NO_LIMITS };
        assert_eq!(aggregate(&view, &plan(Aggregation::Sum, "$.tokens"), &limits).unwrap().len(), 1);
        let error = plan_error(aggregate(&view, &by_user, &limits)).unwrap_err().to_string();
        assert!(error.contains("102400") && error.contains("limits.query_memory_bytes"), "{error}");
        assert_eq!(pool.held(), 0);
    }
}

#[test]
fn a_result_that_was_kept_is_used_only_for_bounds_that_hold_all_its_rows() {
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let at = |seconds: usize| start.saturating_add_micros(seconds as i64 * 1_000_000);
    // Several blocks of a subject, and several of another a month later.
    let row = |number: usize| match number < 3000 {
        true => plain_row(number, "a", at(number), r#"{"tokens":1}"#),
        false => plain_row(number, "z", at(2_592_000 + number), r#"{"tokens":1000}"#),
    };
    let rows: Vec<Row> = (0..6000).map(row).collect();
    let dir = TempDir::new().unwrap();
    let view = split(dir.path(), &rows, &vec![0; rows.len()]);
    let cache = PartialCache::eager(1 << 20);
    let limits = Limits { cache: &cache, ..*NO_LIMITS };
    let base = plan(Aggregation::Sum, "$.tokens");
    let (early, around, inner) = ((None, Some(1_000_000)), (Some(0), Some(9_000_000)), (Some(10), Some(2000)));
    let bounds = [early, (None, None), (Some(1_000_000), None), around, inner];
    for (from, to) in bounds.into_iter().chain(bounds) {
        let plan = AggregatePlan { from: from.map(at), to: to.map(at), ..base.clone() };
        assert_eq!(aggregate(&view, &plan, &limits).unwrap(), reference(&rows, &plan).unwrap(), "{from:?} to {to:?}");
    }
    // Each of four different answers was found anew once; bounds around all rows are no bounds.
    assert_eq!(cache.figures().1, 6);
    drop(view);
    cache.forget(None);
    assert_eq!(cache.figures().0, 0, "a segment that is gone");
}

#[test]
fn kept_results_are_bounded() {
    let dir = TempDir::new().unwrap();
    let rows = many();
    let view = split(dir.path(), &rows, &vec![0; rows.len()]);
    let cache = PartialCache::eager(40_000);
    let limits = Limits { cache: &cache, ..*NO_LIMITS };
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    for hour in 1..200 {
        let from = Some(start.saturating_add_micros(hour * 3_600_000_000));
        let plan = AggregatePlan { from, ..plan(Aggregation::Count, "$") };
        aggregate(&view, &plan, &limits).unwrap();
        assert!(cache.figures().0 <= 40_000 && cache.figures().0 > 0, "{:?}", cache.figures());
    }
}

#[test]
fn damage_is_an_error_and_never_another_total() {
    let dir = TempDir::new().unwrap();
    let rows: Vec<Row> = (0..60).map(row_of_page).collect();
    let places = vec![0; rows.len()];
    drop(split(dir.path(), &rows, &places));
    let file = dir.path().join("0");
    let good = std::fs::read(&file).unwrap();
    let by_subject = AggregatePlan { dimensions: vec![Dimension::Subject], ..plan(Aggregation::Sum, "$.v") };
    let want = reference(&rows, &by_subject).unwrap();
    let mut noticed = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, &bad).unwrap();
        let opened = Segment::open(&HostDisk, &file).map(|segment| View {
            segments: vec![Arc::new(segment)],
            chunks: vec![],
            ..View::default()
        });
        match opened.map_err(QueryError::Store).and_then(|view| aggregate(&view, &by_subject, &NO_LIMITS)) {
            // A chunk that the plan does not need.
            Ok(answer) => assert_eq!(answer, want),
            Err(QueryError::Store(StoreError::Damaged { .. } | StoreError::Newer { .. })) => noticed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(noticed > good.len() / 4, "{noticed} of {}", good.len());
}

#[test]
fn blocks_that_cannot_count_are_not_read() {
    let dir = TempDir::new().unwrap();
    let rows = many();
    drop(split(dir.path(), &rows, &vec![0; rows.len()]));
    let file = dir.path().join("0");
    // Damages everything but header and footer: only what is not read can still be answered.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[12..100_000].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    let view =
        View { segments: vec![Arc::new(Segment::open(&HostDisk, &file).unwrap())], chunks: vec![], ..View::default() };
    let base = plan(Aggregation::Sum, "$.tokens");
    let subject = |text: &str| vec![(Dimension::Subject, Filter::In(BTreeSet::from([text.to_string()])))];
    let owners = BTreeMap::from([("zz".to_string(), "k".to_string())]);
    for unread in [
        AggregatePlan { filters: subject("aaa"), ..base.clone() },
        AggregatePlan { customers: Some(Arc::new(owners)), ..base.clone() },
        AggregatePlan { from: Some(Instant::MAX), ..base.clone() },
        AggregatePlan { to: Some(Instant::MIN), ..base.clone() },
        AggregatePlan { event_type: "s".into(), ..base.clone() },
    ] {
        assert_eq!(aggregate(&view, &unread, &NO_LIMITS).unwrap(), []);
    }
    let read = AggregatePlan { filters: subject("subject-000"), ..base };
    assert!(matches!(aggregate(&view, &read, &NO_LIMITS), Err(QueryError::Store(StoreError::Damaged { .. }))));
}

/// Prints how fast a sum is; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn speed_of_a_sum_by_one_property() {
    const ROWS: usize = 1_000_000;
    let dir = TempDir::new().unwrap();
    let start = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let row = |number: usize| {
        let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let time = start.saturating_add_micros((mixed % 2_592_000_000) as i64 * 1000);
        let tokens = mixed % 40_000_000;
        let data = format!(
            r#"{{"tokens":{}.{:04},"model":"model-{}","region":"region-{}","user":"user-{}"}}"#,
            tokens / 10_000,
            tokens % 10_000,
            mixed % 8,
            mixed % 6,
            mixed % 100_000,
        );
        plain_row(number, &format!("subject-{:05}", (mixed % 10_007).min(mixed % 3001)), time, &data)
    };
    let rows = crate::embedded::sample::sorted((0..ROWS).map(row).collect());
    let path = dir.path().join("speed");
    let begin = std::time::Instant::now();
    let meta = crate::embedded::segment::write_segment(&HostDisk, &path, &mut rows.into_iter().map(Ok)).unwrap();
    let per_second = |took: std::time::Duration| ROWS as f64 / took.as_secs_f64() / 1e6;
    println!(
        "write: {:.2} M rows/s, {:.1} bytes per row",
        per_second(begin.elapsed()),
        meta.bytes as f64 / ROWS as f64
    );
    let view =
        View { segments: vec![Arc::new(Segment::open(&HostDisk, &path).unwrap())], chunks: vec![], ..View::default() };
    let property = |path: &str| Dimension::Property(JsonPath::parse(path).unwrap());
    let by_model = AggregatePlan { dimensions: vec![property("$.model")], ..plan(Aggregation::Sum, "$.tokens") };
    let by_day = Some(Windows::new(WindowSize::Day, Zone::parse("Europe/Budapest").unwrap()));
    let by_cut = Some(Windows::between((0..30).map(|day| start.saturating_add_micros(day * 86_400_000_000))));
    let of_subject = vec![(Dimension::Subject, Filter::Eq("subject-00042".into()))];
    let plans = [
        ("sum", plan(Aggregation::Sum, "$.tokens")),
        ("sum by model", by_model.clone()),
        ("sum by model and day", AggregatePlan { windows: by_day.clone(), ..by_model.clone() }),
        ("sum by model between 30 cuts", AggregatePlan { windows: by_cut.clone(), ..by_model.clone() }),
        ("sum by subject", AggregatePlan { dimensions: vec![Dimension::Subject], ..by_model.clone() }),
        ("sum of one subject", AggregatePlan { filters: of_subject.clone(), ..by_model.clone() }),
        ("by day", AggregatePlan { filters: of_subject.clone(), windows: by_day, ..by_model.clone() }),
        ("between 30 cuts", AggregatePlan { filters: of_subject, windows: by_cut, ..by_model.clone() }),
        ("unique users", plan(Aggregation::UniqueCount, "$.user")),
        ("latest", plan(Aggregation::Latest, "$.tokens")),
        ("sum from the data text", plan(Aggregation::Sum, "$.tokens[0]")),
    ];
    for (name, plan) in &plans {
        let best = (0..15).map(|_| {
            let begin = cpu_time();
            aggregate(&view, plan, &NO_LIMITS).unwrap();
            cpu_time() - begin
        });
        let best = best.min().unwrap();
        println!("{name}: {:.1} ms, {:.1} M rows/s", best.as_secs_f64() * 1000.0, per_second(best));
    }
}

/// How long this thread was on a core, which other processes change less than the time that passes.
fn cpu_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

mod progress;
