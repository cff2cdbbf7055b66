//! One event of the data set, and its texts.

use super::random::{Random, Zipf};
use super::{DAYS, LATE_DAYS, MODELS, SOURCES, TYPES, USERS_PER_SUBJECT};
use std::io::Write;

/// The moment at which the first event arrives, 2026-01-01, in milliseconds since 1970.
pub const START_MS: i64 = 1_767_225_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
const REGIONS: [&str; 6] = ["eu-west-1", "eu-north-1", "us-east-1", "us-west-2", "ap-south-1", "sa-east-1"];

const TYPE_NAMES: [&str; TYPES as usize] = ["prompt", "completion", "embedding", "image", "storage"];
/// How far arrival and event time are apart, both ways.
const JITTER_MS: u32 = 5 * 60 * 1000;
/// Names of properties that few events of a sparse data set have.
const LABELS: u32 = 40;

/// What the events of a data set look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// Every property in every event, every value with four places.
    Dense,
    /// Half of the events have a model, half a user; value and user are nested; three of forty labels.
    Sparse,
    /// Values with nothing to nine places after the point.
    Mixed,
}

impl Variant {
    /// Path of the value.
    pub fn tokens_path(self) -> &'static str {
        if self == Self::Sparse { "$.usage.tokens" } else { "$.tokens" }
    }

    /// Path of the user.
    pub fn user_path(self) -> &'static str {
        if self == Self::Sparse { "$.who.user" } else { "$.user" }
    }
}

/// An event as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// A random UUID.
    pub id: u128,
    /// One of five.
    pub event_type: u32,
    /// One of ten thousand.
    pub subject: u32,
    /// One of eight.
    pub source: u32,
    /// One of eight; a sparse event may have none.
    pub model: Option<u32>,
    /// One of six.
    pub region: u32,
    /// One of a hundred thousand; a sparse event may have none.
    pub user: Option<u32>,
    /// Digits of the value.
    pub mantissa: u64,
    /// How many of them stand after the point.
    pub scale: u32,
    /// When it happened, in milliseconds since 1970.
    pub time_ms: i64,
    /// When it was sent.
    pub arrived_ms: i64,
    /// Chooses labels of a sparse event.
    labels: u32,
    variant: Variant,
}

impl Row {
    /// The event with this number of so many.
    pub(super) fn draw(random: &mut Random, zipf: &Zipf, variant: Variant, number: u64, events: u64) -> Self {
        let (high, low) = (random.word(), random.word());
        let id = (u128::from(high) << 64) | u128::from(low);
        // Version 4, variant 1.
        let id = (id & !(0xf000 << 64) & !(0b11 << 62)) | (0x4000 << 64) | (0b10 << 62);
        let arrived_ms = START_MS + (i128::from(number) * i128::from(DAYS * DAY_MS) / i128::from(events)) as i64;
        let jitter = i64::from(random.below(2 * JITTER_MS)) - i64::from(JITTER_MS);
        let late_ms = match random.below(100) {
            0 => DAY_MS + i64::from(random.below(((LATE_DAYS - 1) * DAY_MS) as u32)),
            _ => jitter,
        };
        let subject = zipf.draw(random);
        let bits = random.word();
        let sparse = variant == Variant::Sparse;
        let absent = |bit: u32| sparse && (bits >> bit) & 1 == 1;
        let digits = random.below(2_000_000);
        let scale = if variant == Variant::Mixed { random.below(10) } else { 4 };
        Self {
            id,
            event_type: random.below(TYPES),
            subject,
            source: (bits % u64::from(SOURCES)) as u32,
            model: (!absent(60)).then(|| random.below(MODELS)),
            region: random.below(REGIONS.len() as u32),
            user: (!absent(61)).then(|| subject * USERS_PER_SUBJECT + random.below(USERS_PER_SUBJECT)),
            mantissa: u64::from(digits) * 10u64.pow(scale.saturating_sub(4)) / 10u64.pow(4u32.saturating_sub(scale)),
            scale,
            time_ms: arrived_ms - late_ms,
            arrived_ms,
            labels: (bits >> 16) as u32,
            variant,
        }
    }

    /// The same event, neither early nor late, of another subject and type.
    pub fn moved_to(self, subject: u32, event_type: u32) -> Self {
        Self { subject, event_type, time_ms: self.arrived_ms, ..self }
    }

    /// The id as a UUID.
    pub fn id_text(&self) -> String {
        let hex = format!("{:032x}", self.id);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The value, with all its places.
    pub fn tokens_text(&self) -> String {
        match self.scale {
            0 => self.mantissa.to_string(),
            scale => {
                let unit = 10u64.pow(scale);
                format!("{}.{:0width$}", self.mantissa / unit, self.mantissa % unit, width = scale as usize)
            }
        }
    }

    /// Where it comes from.
    pub fn source_name(&self) -> String {
        format!("gateway-{}", self.source)
    }

    /// When it happened, with milliseconds and a space or a `T` between date and time.
    pub fn time_text(&self, separator: char) -> String {
        let days = self.time_ms.div_euclid(DAY_MS);
        let ms = self.time_ms.rem_euclid(DAY_MS);
        let (year, month, day) = civil(days);
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        format!("{year:04}-{month:02}-{day:02}{separator}{hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1000)
    }

    /// The JSON object of the event's data.
    pub fn data_json(&self) -> String {
        let region = REGIONS[self.region as usize];
        let tokens = self.tokens_text();
        let model = self.model.map(|model| format!(r#""model":"{}","#, model_name(model))).unwrap_or_default();
        if self.variant == Variant::Sparse {
            let user = self.user.map(|user| format!(r#""user":"{}","#, user_name(user))).unwrap_or_default();
            let label = |shift: u32| (self.labels >> shift) % LABELS;
            let mut labels = String::new();
            let mut chosen = [label(0), label(8), label(16)];
            chosen.sort_unstable();
            for (at, label) in chosen.iter().enumerate().filter(|(at, label)| *at == 0 || chosen[at - 1] != **label) {
                labels.push_str(&format!(r#","label_{label:02}":"{}""#, (self.labels >> (24 + at)) & 3));
            }
            return format!(
                r#"{{{model}"region":"{region}","who":{{{user}"team":{}}},"usage":{{"tokens":{tokens}}}{labels}}}"#,
                self.labels & 7
            );
        }
        let user = self.user.map(user_name).unwrap_or_default();
        format!(r#"{{{model}"region":"{region}","user":"{user}","tokens":{tokens}}}"#)
    }

    /// The event as a CloudEvent.
    pub fn cloud_event(&self) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"{}","source":"{}","type":"{}","subject":"{}","time":"{}Z","datacontenttype":"application/json","data":{}}}"#,
            self.id_text(),
            self.source_name(),
            type_name(self.event_type),
            subject_name(self.subject),
            self.time_text('T'),
            self.data_json(),
        )
    }

    /// The event as a line of tab-separated values: type, subject, time, source, id, model, region, user, tokens.
    pub fn write_tsv(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            type_name(self.event_type),
            subject_name(self.subject),
            self.time_text(' '),
            self.source_name(),
            self.id_text(),
            self.model.map(model_name).unwrap_or_default(),
            REGIONS[self.region as usize],
            self.user.map(user_name).unwrap_or_default(),
            self.tokens_text(),
        )
    }
}

/// Name of a type.
pub fn type_name(event_type: u32) -> &'static str {
    TYPE_NAMES[event_type as usize]
}

/// Name of a subject.
pub fn subject_name(subject: u32) -> String {
    format!("customer-{subject:05}")
}

/// Name of a model.
pub fn model_name(model: u32) -> String {
    format!("model-{model}")
}

/// Name of a user.
pub fn user_name(user: u32) -> String {
    format!("user-{user:07}")
}

/// Year, month and day of a number of days since 1970 (Hinnant's algorithm, for days after 1970).
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::super::DataSet;
    use super::*;
    use tallystick_domain::Instant;
    use tallystick_domain::event::{Event, EventParts};

    fn rows(variant: Variant) -> Vec<Row> {
        DataSet { seed: 5, events: 2000, variant }.rows().collect()
    }

    #[test]
    fn the_texts_say_what_the_numbers_say() {
        for row in rows(Variant::Dense) {
            let time = Instant::parse_rfc3339(&format!("{}Z", row.time_text('T'))).unwrap();
            assert_eq!(time.as_micros(), row.time_ms * 1000);
            assert_eq!(row.tokens_text().replace('.', "").parse::<u64>().unwrap(), row.mantissa);
            assert_eq!(row.tokens_text().split_once('.').unwrap().1.len(), 4);
        }
    }

    #[test]
    fn an_event_is_about_300_bytes_of_valid_json() {
        for row in rows(Variant::Dense) {
            let text = row.cloud_event();
            assert!((270..=320).contains(&text.len()), "{}: {text}", text.len());
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["data"]["user"], row.user.map(user_name).unwrap());
            assert_eq!(json["id"].as_str().unwrap().len(), 36);
            assert_eq!(&json["id"].as_str().unwrap()[14..15], "4");
        }
    }

    #[test]
    fn sparse_and_mixed_events_are_valid_and_differ_in_shape() {
        let (sparse, mixed) = (rows(Variant::Sparse), rows(Variant::Mixed));
        for row in sparse.iter().chain(&mixed) {
            let parts = EventParts {
                id: row.id_text(),
                source: row.source_name(),
                event_type: type_name(row.event_type).into(),
                subject: subject_name(row.subject),
                time: Instant::from_micros(row.time_ms * 1000).unwrap(),
                data: Some(row.data_json()),
                extras: None,
            };
            Event::new(parts, 16).unwrap();
        }
        let with_model = sparse.iter().filter(|row| row.model.is_some()).count();
        assert!((900..1100).contains(&with_model), "{with_model}");
        assert!((0..10).all(|scale| mixed.iter().any(|row| row.scale == scale)));
    }
}
