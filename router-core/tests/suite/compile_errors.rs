//! A wrong handler's compile error names the mistake and its mend.

#[test]
fn a_wrong_handler_is_explained_by_the_compiler() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
