/** Gives every POST a key, and sends a request again when its answer is lost or says "not now". */
export async function retryingFetch(request: Request): Promise<Response> {
  if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
    request.headers.set("Idempotency-Key", crypto.randomUUID());
  }

  for (let attempts = 5; ; attempts--) {
    let seconds = 1;
    try {
      const response = await fetch(request.clone());
      if (![429, 503].includes(response.status) || attempts === 1) return response;
      seconds = Number(response.headers.get("Retry-After") ?? seconds);
    } catch (lost) {
      if (attempts === 1) throw lost;
    }
    await new Promise((done) => setTimeout(done, seconds * 1000));
  }
}
