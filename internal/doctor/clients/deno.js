// signet doctor asks Deno: reach URL SECONDS.
const [, url, seconds] = Deno.args;
let line;
try {
  const answer = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(seconds * 1000) });
  line = "STATUS " + answer.status;
} catch (e) {
  line = "ERROR " + e.message;
}
console.log(line);
Deno.exit(0);
