//! `/healthz` and `/readyz` on the public listener: green, red, and green again.

use serde_json::json;

use crate::rig::{Running, System, eventually};

async fn ready(service: &Running, status: u16) {
    eventually(&format!("/readyz answers {status}"), || async {
        service.browser().get("/readyz").await.status == status
    })
    .await;
}

#[actix_web::test]
async fn readiness_follows_the_bus_and_health_does_not() {
    let system = System::new();
    let service = system.start(0).await;
    ready(&service, 200).await;
    let answer = service.browser().get("/readyz").await;
    let green = json!({"ready": true, "lease": true, "bus": true, "stopping": false});
    assert_eq!(answer.json(), green);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    system.hub.cut(true);
    ready(&service, 503).await;
    let red = service.browser().get("/readyz").await.json();
    assert_eq!((&red["ready"], &red["bus"]), (&json!(false), &json!(false)));
    assert_eq!(service.browser().get("/healthz").await.status, 200);

    system.hub.cut(false);
    ready(&service, 200).await;
}
