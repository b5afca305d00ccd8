//! The SMTP check (RFC 5321, RFC 3207): greeting, `EHLO`, `STARTTLS` where wanted, `QUIT`.

use super::reply::Reply;
use super::talk::Talk;
use super::tls::Clients;
use super::{Outcome, Step, Target};
use crate::config::model::MailTls;

/// Asks once.
pub async fn probe(target: &Target, clients: &Clients, helo: &str, tls: &MailTls) -> Outcome {
    ask(target, clients, helo, tls).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, helo: &str, tls: &MailTls) -> Step<Outcome> {
    let mut talk = Talk::open(target, clients, tls).await?;
    let greeting = Reply::expect(&mut talk, &[220]).await?;
    if let MailTls::Upgrade(tls) = tls {
        let offers = hello(&mut talk, helo).await?;
        if !offers.offers("STARTTLS") {
            return Err(talk.failure("server does not offer STARTTLS"));
        }
        talk.say("STARTTLS", "STARTTLS").await?;
        Reply::expect(&mut talk, &[220]).await?;
        talk = talk.upgrade(clients, tls).await?;
    }
    hello(&mut talk, helo).await?;
    talk.leave("QUIT").await;
    Ok(talk.fit(greeting.first()))
}

/// `EHLO`, or `HELO` for a server that does not know it (RFC 5321 section 3.2).
async fn hello(talk: &mut Talk, helo: &str) -> Step<Reply> {
    talk.say("EHLO", &format!("EHLO {helo}")).await?;
    let reply = Reply::read(talk).await?;
    match reply.code {
        Some(250) => Ok(reply),
        Some(500 | 501 | 502 | 504) => {
            talk.say("HELO", &format!("HELO {helo}")).await?;
            Reply::expect(talk, &[250]).await
        }
        _ => Err(reply.unfit(talk, &[250])),
    }
}
