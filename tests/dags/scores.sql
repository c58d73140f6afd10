SELECT call_id AS conversation_id, label, score
  FROM {{ params.table }}
 WHERE score >= :lowest
 ORDER BY id
