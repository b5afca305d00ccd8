//! The one answer that may have megabytes: the status of `lvs`, written and read a service at a time, or handed on as it came.

use std::borrow::Cow;
use std::{fmt, io};

use hyper::body::Bytes;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::message::{LvsStatus, ServiceStatus, TableSize};

/// How its line begins and ends; between is the status.
const BEGIN: &str = r#"{"reply":"status","status":"#;
const END: &str = "}\n";
/// How the status begins.
const ROLE: &str = r#"{"role":"lvs","#;

/// The status of `lvs` as it came over the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Bytes);

impl Report {
    /// The line of `status`, with the services that `services` has in place of its own.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn line(
        status: &LvsStatus,
        services: impl IntoIterator<Item = ServiceStatus>,
    ) -> serde_json::Result<Vec<u8>> {
        let mut line = Line([BEGIN, ROLE, r#""services":["#].concat().into_bytes());
        let first = line.0.len();
        for service in services {
            if line.0.len() > first {
                line.0.push(b',');
            }
            serde_json::to_writer(&mut line, &service)?;
        }
        let LvsStatus { problem, foreign_changes, generation, table_size, .. } = status;
        let rest = Rest { problem, foreign_changes, generation, table_size };
        let Line(mut line) = line;
        line.extend_from_slice(b"],");
        line.extend(serde_json::to_vec(&rest)?.iter().skip(1));
        line.extend_from_slice(END.as_bytes());
        Ok(line)
    }

    /// That of `status`.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn of(mut status: LvsStatus) -> serde_json::Result<Self> {
        let services = std::mem::take(&mut status.services);
        Self::line(&status, services).map(|line| Self(line.into()))
    }

    /// Takes the line of an answer, if it is this one.
    ///
    /// # Errors
    /// The line as it was, if it is another answer.
    pub fn take(line: Vec<u8>) -> Result<Self, Vec<u8>> {
        let ours =
            line.strip_prefix(BEGIN.as_bytes()).is_some_and(|status| status.starts_with(ROLE.as_bytes()));
        if ours && line.ends_with(END.as_bytes()) { Ok(Self(line.into())) } else { Err(line) }
    }

    /// The status as JSON.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.0.slice(BEGIN.len()..self.0.len().saturating_sub(END.len()))
    }

    /// Reads it, and hands over each service. Returns the rest, which has none.
    ///
    /// # Errors
    /// It is no status.
    pub fn read(&self, each: impl FnMut(ServiceStatus)) -> serde_json::Result<LvsStatus> {
        let json = self.json();
        let mut json = serde_json::Deserializer::from_slice(&json);
        let status = Whole(each).deserialize(&mut json)?;
        json.end()?;
        Ok(status)
    }

    /// The whole.
    ///
    /// # Errors
    /// It is no status.
    pub fn status(&self) -> serde_json::Result<LvsStatus> {
        let mut services = Vec::new();
        let status = self.read(|service| services.push(service))?;
        Ok(LvsStatus { services, ..status })
    }
}

/// What is being written. serde_json comes with a quotation mark, a comma, a few digits at a time; to copy those like a text takes
/// longer than all the rest.
struct Line(Vec<u8>);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() <= 4 {
            bytes.iter().for_each(|byte| self.0.push(*byte));
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What follows the services.
#[derive(Serialize)]
struct Rest<'a> {
    problem: &'a Option<String>,
    foreign_changes: &'a u64,
    generation: &'a u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_size: &'a Option<TableSize>,
}

/// Reads a status; its services go to the function.
struct Whole<F>(F);

impl<'de, F: FnMut(ServiceStatus)> DeserializeSeed<'de> for Whole<F> {
    type Value = LvsStatus;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<LvsStatus, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, F: FnMut(ServiceStatus)> Visitor<'de> for Whole<F> {
    type Value = LvsStatus;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status of lvs")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<LvsStatus, A::Error> {
        let mut status = LvsStatus::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "services" => map.next_value_seed(Each(&mut self.0))?,
                "problem" => status.problem = map.next_value()?,
                "foreign_changes" => status.foreign_changes = map.next_value()?,
                "generation" => status.generation = map.next_value()?,
                "table_size" => status.table_size = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(status)
    }
}

/// Reads services, one after the other.
struct Each<'a, F>(&'a mut F);

impl<'de, F: FnMut(ServiceStatus)> DeserializeSeed<'de> for Each<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(ServiceStatus)> Visitor<'de> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("services")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut services: A) -> Result<(), A::Error> {
        while let Some(service) = services.next_element()? {
            (self.0)(service);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::message::{Reply, Status};

    fn status() -> LvsStatus {
        let text = include_str!("../../tests/outside/status.json").replace("\"@CONNECTIONS@\"", "7");
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(whole["lvs"].clone()).unwrap()
    }

    #[test]
    fn the_line_is_that_of_any_other_status() {
        let whole = status();
        assert!(whole.services.len() > 1);
        for table_size in [None, Some(TableSize { bits: 12, next_boot: 20 })] {
            for services in [whole.services.clone(), Vec::new()] {
                let status = LvsStatus { services: services.clone(), table_size, ..whole.clone() };
                let line = Report::line(&status, services).unwrap();
                let reply = Reply::Status { status: Box::new(Status::Lvs(status.clone())) };
                assert_eq!(
                    String::from_utf8(line.clone()).unwrap(),
                    serde_json::to_string(&reply).unwrap() + "\n"
                );
                let report = Report::take(line).unwrap();
                assert_eq!(report.status().unwrap(), status);
                let json = serde_json::to_value(Status::Lvs(status)).unwrap();
                assert_eq!(serde_json::from_slice::<serde_json::Value>(&report.json()).unwrap(), json);
            }
        }
    }

    #[test]
    fn another_answer_is_none_and_a_torn_one_is_refused() {
        for line in
            [&b"{\"reply\":\"ok\"}\n"[..], b"{\"reply\":\"status\",\"status\":{\"role\":\"net\"}}\n", b""]
        {
            assert_eq!(Report::take(line.to_vec()).unwrap_err(), line);
        }
        let line = Report::line(&status(), status().services).unwrap();
        assert!(Report::take(line[..line.len() - 1].to_vec()).is_err());
        let torn = [&line[..line.len() / 2], &line[line.len() - 3..]].concat();
        assert!(Report::take(torn).unwrap().status().is_err());
    }
}
