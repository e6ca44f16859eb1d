/* What missing-dependency.so needs and does not find. */
__attribute__((visibility("default"))) int polymlaTestStub(void);
int polymlaTestStub(void) { return 0; }
