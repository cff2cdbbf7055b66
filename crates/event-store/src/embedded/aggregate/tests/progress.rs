//! How far a query says that it is.

use super::*;

#[test]
fn a_query_tells_how_far_it_came() {
    let dir = TempDir::new().unwrap();
    let time = Instant::parse_rfc3339("2024-03-01T00:00:00Z").unwrap();
    let row = |number: usize| plain_row(number, &format!("s{}", number / 100), time, r#"{"tokens":1}"#);
    let rows: Vec<Row> = (0..300).map(row).collect();
    let places: Vec<usize> = (0..300).map(|number| number / 100).collect();
    let view = split(dir.path(), &rows, &places);
    let by_subject = AggregatePlan { dimensions: vec![Dimension::Subject], ..plan(Aggregation::Count, "$") };
    for (max_groups, done) in [(3, 300), (2, 200), (1, 100), (0, 0)] {
        let progress = QueryProgress::default();
        let limits = Limits { max_groups, progress: Some(&progress), ..*NO_LIMITS };
        // Each hundred rows are a piece with one group more, so it ends within the piece that has one too many.
        assert_eq!(aggregate(&view, &by_subject, &limits).is_ok(), done == 300);
        assert_eq!((progress.expected(), progress.done()), (300, done));
    }
}
