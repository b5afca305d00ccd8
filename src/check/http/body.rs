//! What must be in the body of an answer.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use md5::{Digest, Md5};

use crate::check::reason::{self, Secrets};
use crate::config::model::Http;
use crate::pattern::Pattern;

/// Most bytes of a body that a pattern is looked for in.
const SEARCHED: usize = 64 * 1024;
/// Most bytes of a body that is summed up.
const SUMMED: usize = 1024 * 1024;

/// What is looked at.
pub(super) struct Wanted<'a> {
    expect: Option<&'a Pattern>,
    refuse: Option<&'a Pattern>,
    digest: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// `None` if the body does not matter, or there can be none.
    pub(super) fn of(http: &'a Http, has_body: bool) -> Option<Self> {
        let (expect, refuse) = (http.expect.as_ref(), http.refuse.as_ref());
        let wanted = Self { expect, refuse, digest: http.digest.as_deref() };
        let any = expect.is_some() || refuse.is_some() || wanted.digest.is_some();
        (has_body && any).then_some(wanted)
    }

    /// Reads as much of the body as it takes; what speaks against it, if anything.
    pub(super) async fn fault(
        self,
        mut body: Incoming,
        secrets: &Secrets,
    ) -> Result<Option<String>, hyper::Error> {
        let (mut head, mut sum, mut length) = (Vec::new(), Md5::new(), 0);
        let most = if self.digest.is_some() { SUMMED } else { SEARCHED };
        while length <= most
            && let Some(frame) = body.frame().await
        {
            let Ok(data) = frame?.into_data() else { continue };
            length += data.len();
            if self.digest.is_some() {
                sum.update(&data);
            }
            let room = (SEARCHED - head.len()).min(data.len());
            head.extend(data.get(..room).unwrap_or_default());
        }
        Ok(self.missing(&head, secrets).or_else(|| self.differs(sum, length)))
    }

    fn missing(&self, head: &[u8], secrets: &Secrets) -> Option<String> {
        let (pattern, word) = match (self.expect, self.refuse) {
            (Some(expect), _) if !expect.is_in(head) => (expect, "wanted"),
            (_, Some(refuse)) if refuse.is_in(head) => (refuse, "refused is"),
            _ => return None,
        };
        let pattern = reason::quote(pattern.as_str().as_bytes());
        Some(format!("got {}, {word} {pattern}", secrets.quote(head)))
    }

    fn differs(&self, sum: Md5, length: usize) -> Option<String> {
        let wanted = self.digest?;
        if length > SUMMED {
            return Some(format!("body larger than {} MiB", SUMMED / 1024 / 1024));
        }
        let got: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (!got.eq_ignore_ascii_case(wanted)).then(|| format!("digest {got}, wanted {wanted}"))
    }
}
