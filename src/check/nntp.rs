//! The NNTP check (RFC 3977, RFC 4642): greeting, `STARTTLS` where wanted, `QUIT`.

use super::reply::Reply;
use super::talk::Talk;
use super::tls::Clients;
use super::{Outcome, Step, Target};
use crate::config::model::MailTls;

/// Asks once.
pub async fn probe(target: &Target, clients: &Clients, tls: &MailTls) -> Outcome {
    ask(target, clients, tls).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, tls: &MailTls) -> Step<Outcome> {
    let mut talk = Talk::open(target, clients, tls).await?;
    let greeting = Reply::expect(&mut talk, &[200, 201]).await?;
    if let MailTls::Upgrade(tls) = tls {
        talk.say("STARTTLS", "STARTTLS").await?;
        Reply::expect(&mut talk, &[382]).await?;
        talk = talk.upgrade(clients, tls).await?;
    }
    talk.leave("QUIT").await;
    Ok(talk.fit(greeting.first()))
}
