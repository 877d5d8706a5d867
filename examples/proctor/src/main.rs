//! An exam room: a proctor sees who is here, who dropped and who came back, asks students in private,
//! and tells all of them something. Students answer, and raise their hands.

mod exam;
mod pages;
mod person;
mod settings;

use std::process::ExitCode;

use settings::Exam;
use stage::Example;

#[actix_web::main]
async fn main() -> ExitCode {
    let proctor = Example::<Exam> {
        name: "proctor",
        about: "Watch over an exam: who is here, questions in private, notices to all.",
        page_port: 8900,
        ws_ports: 8901..=8903,
        invitation: |page| {
            format!(
                "As the proctor, open {page}/?role=proctor\n\
                 As a student, open  {page}/?role=student in another browser or a private window"
            )
        },
        pages: pages::pages,
        routes: exam::routes,
        observers: |_| {},
    };
    proctor.run().await
}
