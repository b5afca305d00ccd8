//! A text cut into its services and the rest, without parsing it.
//!
//! Parsing costs a hundred times more than looking for the lines that begin a section. Whoever works with the parts must come to the
//! same verdict as on the whole, or go back to the whole: see [`super::again`] and [`super::piecewise`].

use memchr::memmem;

use super::LARGEST;

/// A text cut at its lines that begin a section.
pub struct Layout<'t> {
    /// Everything that is no service, in its order.
    pub rest: String,
    /// Each `[[service]]` with all that belongs to it.
    pub services: Vec<&'t str>,
    /// Whether the rest may name services.
    refers: bool,
}

impl<'t> Layout<'t> {
    /// `None` for a text in which a line that looks like a header may be a part of a string.
    ///
    /// A line in a list of several lines may begin with a bracket too. It is taken for a header, and what is cut there is no
    /// TOML, which whoever checks the parts notices.
    pub fn of(text: &'t [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LARGEST)?;
        let holds = |quotes: &str| memmem::find(text.as_bytes(), quotes.as_bytes()).is_some();
        if text.starts_with('\u{feff}') || holds("\"\"\"") || holds("'''") {
            return None;
        }
        let mut layout = Self { rest: String::new(), services: Vec::new(), refers: false };
        let (mut start, mut in_service) = (0, false);
        let mut sections = Vec::new();
        for (at, line) in lines(text) {
            let line = line.trim_ascii_start();
            if !line.starts_with('[') || (in_service && belongs_to_service(line)) {
                continue;
            }
            sections.push((in_service, text.get(start..at)?));
            (start, in_service) = (at, line.starts_with("[[service]]"));
        }
        sections.push((in_service, text.get(start..)?));
        for (is_service, section) in sections {
            if is_service {
                layout.services.push(section);
            } else {
                layout.rest.push_str(section);
            }
        }
        // The last line may be the one without an end.
        layout.rest.push('\n');
        layout.refers = layout.rest.contains("service");
        Some(layout)
    }

    /// Whether the rest may speak of this service.
    pub fn names(&self, service: &str) -> bool {
        self.refers && name_of(service).is_none_or(|name| self.rest.contains(name))
    }
}

/// A service cut at its real servers.
pub struct Parts<'t> {
    /// What comes before them.
    pub head: &'t str,
    /// All of them.
    pub servers: &'t str,
    /// The first of them.
    pub first: &'t str,
}

impl<'t> Parts<'t> {
    /// `None` when nothing or something else comes behind the first.
    pub fn of(service: &'t str) -> Option<Self> {
        let mut starts = lines(service).skip(1).filter_map(|(at, line)| {
            let line = line.trim_ascii_start();
            let is_section = line.starts_with('[') && !line.starts_with("[service.server.");
            is_section.then(|| (at, line.starts_with("[[service.server]]")))
        });
        let ((start, true), (second, true)) = (starts.next()?, starts.next()?) else { return None };
        let (head, servers) = service.split_at(start);
        starts.all(|(_, is_server)| is_server).then_some(Self {
            head,
            servers,
            first: servers.get(..second - start)?,
        })
    }
}

/// Every line with the place where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    let mut start = 0;
    ends.chain([text.len()]).filter_map(move |end| {
        let at = std::mem::replace(&mut start, end);
        text.get(at..end).filter(|line| !line.is_empty()).map(|line| (at, line))
    })
}

fn belongs_to_service(line: &str) -> bool {
    line.starts_with("[[service.") || line.starts_with("[service.")
}

/// The name as it stands in the text of a service, with its quotes.
fn name_of(service: &str) -> Option<&str> {
    let line = service.lines().map(str::trim_ascii_start).find(|line| line.starts_with("name"))?;
    let (start, end) = (line.find('"')?, line.rfind('"')?);
    line.get(start..=end).filter(|name| name.len() > 2)
}
