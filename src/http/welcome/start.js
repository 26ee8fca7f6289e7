// The page at `/` of a server: a first call to copy, with the address that it was opened under.
document.getElementById("register").textContent = `curl -s -H 'content-type: application/json' \\
  -d '{"handle": "ada", "password": "choose a long one"}' \\
  ${location.origin}/v1/users`;
