// signet doctor asks Node: reach URL SECONDS, or trust DER, in base64.
const [what, arg, seconds] = process.argv.slice(2);
const { readFileSync } = require("fs");

function trust() {
  const { X509Certificate } = require("crypto");
  const tls = require("tls");
  const wanted = new X509Certificate(Buffer.from(arg, "base64")).fingerprint256;
  let roots = tls.rootCertificates;
  if (tls.getCACertificates) {
    roots = tls.getCACertificates("default");
  } else if (process.env.NODE_EXTRA_CA_CERTS) {
    const extra = readFileSync(process.env.NODE_EXTRA_CA_CERTS, "utf8");
    roots = roots.concat(extra.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) || []);
  }
  return roots.some((pem) => new X509Certificate(pem).fingerprint256 === wanted) ? "TRUSTED" : "UNTRUSTED";
}

async function reach() {
  const answer = await fetch(arg, { redirect: "manual", signal: AbortSignal.timeout(seconds * 1000) });
  return "STATUS " + answer.status;
}

(async () => (what === "trust" ? trust() : reach()))()
  .catch((e) => "ERROR " + [e.message, e.cause && e.cause.code, e.cause && e.cause.message].filter(Boolean).join(": "))
  .then((line) => {
    console.log(line);
    process.exit(0);
  });
